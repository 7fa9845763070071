//! Unique ids, access key ids and ARNs.

use core_types::{AccountId, Dice};

/// AWS: four letters for the kind, then seventeen of base 32.
pub fn unique_id(dice: &mut Dice, prefix: &str) -> String {
    format!("{prefix}{}", dice.base32(17))
}

const BASE32: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";

/// An access key id: `AKIA` or `ASIA` and sixteen letters that hold the account's number.
///
/// AWS: bits 1 to 40 behind the prefix are the account. GetAccessKeyInfo, and tools without any
/// access, read it from there.
pub fn access_key_id(dice: &mut Dice, prefix: &str, account: AccountId) -> String {
    let random: [u8; 10] = dice.bytes();
    let mut bits = random.iter().fold(0u128, |bits, byte| bits << 8 | u128::from(*byte));
    let place = 80 - 1 - 40;
    bits &= !(((1u128 << 40) - 1) << place);
    bits |= u128::from(account.number()) << place;
    let letters = (0..16).rev().map(|nth| BASE32[(bits >> (nth * 5)) as usize % 32] as char);
    prefix.chars().chain(letters).collect()
}

/// The account inside an access key id that [`access_key_id`] made.
pub fn account_of_key(id: &str) -> Option<AccountId> {
    let letters = id.strip_prefix("AKIA").or_else(|| id.strip_prefix("ASIA"))?;
    if letters.len() != 16 {
        return None;
    }
    let bits = letters.bytes().try_fold(0u128, |bits, letter| {
        let value = BASE32.iter().position(|b| *b == letter)?;
        Some(bits << 5 | value as u128)
    })?;
    AccountId::new((bits >> 39) as u64 & ((1 << 40) - 1))
}

/// The ARN of something that may not exist, as permissions are asked on it.
pub fn arn(account: AccountId, kind: &str, path: &str, name: &str) -> String {
    format!("arn:aws:iam::{account}:{kind}{path}{name}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_access_key_id_tells_its_account() {
        let mut dice = Dice::from_number(4);
        for number in [0, 1, 123_456_789_012, 999_999_999_999] {
            let account = AccountId::new(number).unwrap();
            let id = access_key_id(&mut dice, "ASIA", account);
            assert_eq!((id.len(), account_of_key(&id)), (20, Some(account)), "{id}");
        }
        // A published pair of an id and its account.
        let known = account_of_key("ASIAQNZGKIQY56JQ7WML").map(AccountId::number);
        assert_eq!(known, Some(29_608_264_753));
        for bad in ["", "AKIA", "AIDAQNZGKIQY56JQ7WML", "AKIAQNZGKIQY56JQ7WM1"] {
            assert_eq!(account_of_key(bad), None, "{bad}");
        }
    }
}
