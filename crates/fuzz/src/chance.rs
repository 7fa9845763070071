//! The dice: one stream a request, so that a request is made again from its number alone.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

pub struct Chance {
    rng: ChaCha8Rng,
    /// Half of all requests keep to what a well-meaning client would send: they come further.
    pub tame: bool,
}

impl Chance {
    pub fn new(seed: u64, request: u64) -> Self {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        rng.set_stream(request);
        let tame = rng.next_u64().is_multiple_of(2);
        Chance { rng, tame }
    }

    pub fn any(&mut self) -> u64 {
        self.rng.next_u64()
    }

    /// A number below `bound`, which must not be 0.
    pub fn below(&mut self, bound: usize) -> usize {
        (self.any() % bound as u64) as usize
    }

    pub fn in_a_hundred(&mut self, share: usize) -> bool {
        self.below(100) < share
    }

    pub fn pick<'a, T: ?Sized>(&mut self, list: &[&'a T]) -> &'a T {
        list[self.below(list.len())]
    }

    pub fn bytes(&mut self, most: usize) -> Vec<u8> {
        let length = self.below(most + 1);
        (0..length).map(|_| self.any() as u8).collect()
    }
}
