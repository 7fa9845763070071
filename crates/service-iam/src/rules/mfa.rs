//! Six digits that follow from a shared secret and the time (RFC 6238, as authenticators do it).

use aws_protocol::ApiError;
use core_state::State;
use core_types::{AccountId, Dice, Time};
use hmac::{Hmac, KeyInit, Mac};
use model_iam::errors;
use sha1::Sha1;
use subtle::ConstantTimeEq;

use crate::rows::mfa_device::MfaDevice;

/// A step is half a minute.
const STEP: i64 = 30;
/// How many steps a device's clock may be off.
const DRIFT: i64 = 1;

/// The device of a serial number, or AWS's error.
pub fn find<'s>(
    state: &'s State,
    account: AccountId,
    serial: &str,
) -> Result<&'s MfaDevice, ApiError> {
    state.get::<MfaDevice>(&(account, serial.into())).ok_or_else(|| {
        let text = format!("VirtualMFADevice with serial number {serial} doesn't exist.");
        errors::no_such_entity_exception(text)
    })
}

/// A new secret: AWS's are 320 bits, 64 letters of base 32.
pub fn seed(dice: &mut Dice) -> String {
    dice.base32(64)
}

fn secret(seed: &str) -> Vec<u8> {
    let (mut bytes, mut bits, mut held) = (Vec::new(), 0u32, 0u32);
    for letter in seed.bytes() {
        let value = match letter {
            b'A'..=b'Z' => letter - b'A',
            b'2'..=b'7' => letter - b'2' + 26,
            _ => continue,
        };
        bits = bits << 5 | u32::from(value);
        held += 5;
        if held >= 8 {
            held -= 8;
            bytes.push((bits >> held) as u8);
            bits &= (1 << held) - 1;
        }
    }
    bytes
}

fn code(secret: &[u8], step: u64) -> String {
    let mut mac = Hmac::<Sha1>::new_from_slice(secret).expect("HMAC takes a key of any length");
    mac.update(&step.to_be_bytes());
    let hash = mac.finalize().into_bytes();
    let at = usize::from(hash[19] & 0x0f);
    let word = u32::from_be_bytes([hash[at] & 0x7f, hash[at + 1], hash[at + 2], hash[at + 3]]);
    format!("{:06}", word % 1_000_000)
}

/// The step whose code this is, near a time.
fn step_of(seed: &str, now: Time, given: &str) -> Option<u64> {
    let (secret, step) = (secret(seed), now.seconds() / STEP);
    let steps = (step - DRIFT..=step + DRIFT).filter_map(|step| u64::try_from(step).ok());
    let is_it = |step: &u64| code(&secret, *step).as_bytes().ct_eq(given.as_bytes()).into();
    steps.into_iter().find(is_it)
}

pub fn is_code(seed: &str, now: Time, given: &str) -> bool {
    step_of(seed, now, given).is_some()
}

/// AWS: to enable a device takes two codes that follow each other.
pub fn are_consecutive(seed: &str, now: Time, first: &str, second: &str) -> bool {
    let before = Time(now.millis() - STEP * 1000);
    let first = step_of(seed, before, first).or_else(|| step_of(seed, now, first));
    first.is_some_and(|step| code(&secret(seed), step + 1) == second)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_codes_are_those_of_the_standard() {
        // RFC 6238, appendix B, cut to six digits: the secret is "12345678901234567890".
        let seed = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ";
        for (seconds, wanted) in
            [(59, "287082"), (1_111_111_109, "081804"), (20_000_000_000, "353130")]
        {
            assert!(is_code(seed, Time(seconds * 1000), wanted), "{seconds}");
            assert!(!is_code(seed, Time((seconds + 90) * 1000), wanted), "{seconds}");
        }
        assert!(!is_code(seed, Time(59_000), "28708"));
    }

    #[test]
    fn two_codes_must_follow_each_other() {
        let (seed, now) = (seed(&mut Dice::from_number(1)), Time(1_700_000_000_000));
        let at = |steps: i64| code(&secret(&seed), (now.seconds() / STEP + steps) as u64);
        assert!(are_consecutive(&seed, now, &at(-1), &at(0)));
        assert!(are_consecutive(&seed, now, &at(0), &at(1)));
        assert!(!are_consecutive(&seed, now, &at(0), &at(0)));
        assert!(!are_consecutive(&seed, now, &at(0), &at(-1)));
        assert!(!are_consecutive(&seed, now, &at(5), &at(6)));
    }
}
