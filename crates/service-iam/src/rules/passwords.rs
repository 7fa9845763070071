//! Passwords: what they must be like, and how they are kept.

use argon2::{Algorithm, Argon2, Params, Version};
use aws_protocol::ApiError;
use core_types::Dice;
use model_iam::errors;
use subtle::ConstantTimeEq;

use crate::rows::account::{Account, PasswordPolicy};
use crate::rows::user::{Login, PasswordHash};

const SALT: usize = 16;
const HASH: usize = 32;
/// AWS: the most that a policy can ask to be remembered.
const FORMER: usize = 24;

/// Argon2id at the least cost that OWASP names, because it runs on the core's thread.
fn digest(password: &str, salt: &[u8]) -> [u8; HASH] {
    let params = Params::new(7168, 5, 1, Some(HASH)).expect("the parameters are constants");
    let argon = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
    let mut hash = [0; HASH];
    argon
        .hash_password_into(password.as_bytes(), salt, &mut hash)
        .expect("salt and hash are of lengths that the algorithm takes");
    hash
}

pub fn hash(dice: &mut Dice, password: &str) -> PasswordHash {
    let salt: [u8; SALT] = dice.bytes();
    PasswordHash { salt: salt.to_vec(), hash: digest(password, &salt).to_vec() }
}

pub fn matches(hash: &PasswordHash, password: &str) -> bool {
    digest(password, &hash.salt).as_slice().ct_eq(&hash.hash).into()
}

/// Whether a new password satisfies the account's policy, or AWS's refusal.
pub fn check(
    account: Option<&Account>,
    login: Option<&Login>,
    password: &str,
) -> Result<(), ApiError> {
    let refused = || {
        errors::password_policy_violation_exception(
            "Password does not conform to the account password policy.",
        )
    };
    let has = |what: fn(char) -> bool| password.chars().any(what);
    let kinds = [
        has(|c| c.is_ascii_uppercase()),
        has(|c| c.is_ascii_lowercase()),
        has(|c| c.is_ascii_digit()),
        has(|c| "!@#$%^&*()_+-=[]{}|'".contains(c)),
    ];
    let length = password.chars().count();
    let policy = account.and_then(|account| account.password_policy.as_ref());
    let Some(policy) = policy else {
        // AWS: where no policy is set, eight characters of three of the four kinds.
        let enough = kinds.iter().filter(|there| **there).count() >= 3;
        return if length >= 8 && enough { Ok(()) } else { Err(refused()) };
    };
    let PasswordPolicy { uppercase, lowercase, numbers, symbols, .. } = *policy;
    let asked = [uppercase, lowercase, numbers, symbols];
    let short = i32::try_from(length).is_ok_and(|length| length < policy.minimum_length);
    if short || asked.iter().zip(kinds).any(|(asked, there)| *asked && !there) {
        return Err(refused());
    }
    let remembered = policy.reuse_prevention.and_then(|n| usize::try_from(n).ok()).unwrap_or(0);
    let used =
        login.into_iter().flat_map(|login| std::iter::once(&login.hash).chain(&login.former));
    match used.take(remembered).any(|hash| matches(hash, password)) {
        true => Err(refused()),
        false => Ok(()),
    }
}

/// Set a new password in the place of the old one, which is remembered.
pub fn replace(login: &mut Login, hash: PasswordHash) {
    let old = std::mem::replace(&mut login.hash, hash);
    login.former.insert(0, old);
    login.former.truncate(FORMER);
}

#[cfg(test)]
mod tests {
    use super::*;
    use core_types::{AccountId, Time};

    #[test]
    fn a_hash_matches_its_password_only() {
        let mut dice = Dice::from_number(1);
        let (a, b) = (hash(&mut dice, "correct horse"), hash(&mut dice, "correct horse"));
        assert!(a != b, "salted");
        assert!(matches(&a, "correct horse") && !matches(&a, "correct horsf"));
    }

    #[test]
    fn policies_are_enforced() {
        for (password, good) in
            [("Abcdef12", true), ("abcdefgh1", false), ("Abc1!", false), ("abcdef1!", true)]
        {
            assert_eq!(check(None, None, password).is_ok(), good, "{password}");
        }
        let mut account = Account::new(AccountId::default(), Time(0));
        account.password_policy = Some(PasswordPolicy {
            minimum_length: 6,
            symbols: true,
            numbers: false,
            uppercase: false,
            lowercase: false,
            users_may_change: false,
            max_age: None,
            reuse_prevention: Some(2),
            hard_expiry: None,
        });
        let mut dice = Dice::from_number(1);
        let mut login = Login {
            created_at: Time(0),
            changed_at: Time(0),
            reset_required: false,
            hash: hash(&mut dice, "first!"),
            former: Vec::new(),
        };
        let first_is_fine = |login: &Login| check(Some(&account), Some(login), "first!").is_ok();
        assert!(!first_is_fine(&login));
        replace(&mut login, hash(&mut dice, "second!"));
        assert!(!first_is_fine(&login));
        replace(&mut login, hash(&mut dice, "third!"));
        assert!(first_is_fine(&login));
        assert!(check(Some(&account), None, "first").is_err(), "no symbol");
    }
}
