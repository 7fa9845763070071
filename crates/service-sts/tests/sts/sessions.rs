//! GetSessionToken, GetCallerIdentity, GetAccessKeyInfo, MFA.

use std::time::Duration;

use core_step::CredentialError;
use hmac::{Hmac, KeyInit, Mac};
use serde_json::{Value, json};
use sha1::Sha1;

use crate::world::{Key, World, refused, session};

#[test]
fn a_session_stands_for_its_user_but_not_to_iam() {
    let mut w = crate::world();
    let ada = w.user("ada", json!([{"Effect": "Allow", "Action": "*", "Resource": "*"}]));
    let answer = w.call_as(&ada, "GetSessionToken", json!({}));
    assert_eq!(answer["Credentials"]["Expiration"], 1_700_000_000 + 43_200);
    let key = session(&answer);
    let (me, same) = (
        w.call_as(&key, "GetCallerIdentity", json!({})),
        w.call_as(&ada, "GetCallerIdentity", json!({})),
    );
    assert_eq!(me, same);
    let text = "The security token included in the request is invalid.";
    let refusal = w.refusal_as(&key, "ListUsers", json!({}));
    assert_eq!(refusal, refused("InvalidClientTokenId", text));
    let again = w.refusal_as(&key, "GetSessionToken", json!({}));
    let text = "Cannot call GetSessionToken with session credentials";
    assert_eq!(again, refused("AccessDenied", text));
    let federated = w.refusal_as(&key, "GetFederationToken", json!({"Name": "bob"}));
    let text = "Cannot call GetFederationToken with session credentials";
    assert_eq!(federated, refused("AccessDenied", text));

    let status = |s: &str| json!({"UserName": "ada", "AccessKeyId": ada.id, "Status": s});
    w.call("UpdateAccessKey", status("Inactive"));
    assert_eq!(w.caller(&key).err(), Some(CredentialError::BadToken));
    w.call("UpdateAccessKey", status("Active"));
    assert!(w.caller(&key).is_ok());
    w.pass(Duration::from_secs(43_200));
    assert_eq!(w.caller(&key).err(), Some(CredentialError::Expired));
}

#[test]
fn the_root_users_sessions_last_an_hour() {
    let mut w = crate::world();
    let answer = w.call("GetSessionToken", json!({"DurationSeconds": 129_600}));
    assert_eq!(answer["Credentials"]["Expiration"], 1_700_000_000 + 3600);
    let key = session(&answer);
    let me = w.call_as(&key, "GetCallerIdentity", json!({}));
    assert_eq!(me["Arn"], "arn:aws:iam::123456789012:root");
    assert_eq!(me["UserId"], "123456789012");
}

#[test]
fn a_token_belongs_to_its_key() {
    let mut w = crate::world();
    let ada = w.user("ada", json!([]));
    let first = session(&w.call_as(&ada, "GetSessionToken", json!({})));
    let second = session(&w.call_as(&ada, "GetSessionToken", json!({})));
    let swapped = Key { token: second.token.clone(), ..first.clone() };
    assert_eq!(w.caller(&swapped).err(), Some(CredentialError::BadToken));
    let without = Key { token: None, ..first.clone() };
    assert_eq!(w.caller(&without).err(), Some(CredentialError::Unknown));
    let token = first.token.clone().unwrap();
    for at in (0..token.len()).step_by(7) {
        let mut altered = token.clone().into_bytes();
        altered[at] = if altered[at] == b'A' { b'B' } else { b'A' };
        let altered = String::from_utf8(altered).unwrap();
        let altered = Key { token: Some(altered), ..first.clone() };
        assert_eq!(w.caller(&altered).err(), Some(CredentialError::BadToken), "at {at}");
    }
}

/// The six digits that an authenticator shows for a seed in base 32.
fn digits(seed: &str, seconds: i64) -> String {
    let mut bits = String::new();
    for letter in seed.bytes() {
        let value = if letter.is_ascii_digit() { letter - b'2' + 26 } else { letter - b'A' };
        bits += &format!("{value:05b}");
    }
    let bytes: Vec<u8> = (0..bits.len() / 8)
        .map(|nth| u8::from_str_radix(&bits[nth * 8..nth * 8 + 8], 2).unwrap())
        .collect();
    let mut mac = Hmac::<Sha1>::new_from_slice(&bytes).unwrap();
    mac.update(&(seconds / 30).to_be_bytes());
    let hash = mac.finalize().into_bytes();
    let at = usize::from(hash[19] & 15);
    let word = u32::from_be_bytes([hash[at] & 0x7f, hash[at + 1], hash[at + 2], hash[at + 3]]);
    format!("{:06}", word % 1_000_000)
}

/// A device of this user; its serial number and seed.
fn device(w: &mut World, user: &str) -> (String, String) {
    use aws_protocol::Blob;
    let made = w.call("CreateVirtualMFADevice", json!({"VirtualMFADeviceName": user}));
    let made = &made["VirtualMFADevice"];
    let seed = Blob::from_base64(made["Base32StringSeed"].as_str().unwrap()).unwrap();
    let seed = String::from_utf8(seed.0.to_vec()).unwrap();
    let serial = made["SerialNumber"].as_str().unwrap().to_owned();
    let now = w.now.seconds();
    let enable = json!({"UserName": user, "SerialNumber": serial,
        "AuthenticationCode1": digits(&seed, now - 30), "AuthenticationCode2": digits(&seed, now)});
    w.call("EnableMFADevice", enable);
    (serial, seed)
}

#[test]
fn a_session_with_mfa_may_more() {
    let mut w = crate::world();
    let condition = json!({"Bool": {"aws:MultiFactorAuthPresent": "true"}});
    let ada = w.user(
        "ada",
        json!([{"Effect": "Allow", "Action": "iam:*", "Resource": "*", "Condition": condition}]),
    );
    let (serial, seed) = device(&mut w, "ada");
    assert_eq!(w.refusal_as(&ada, "ListUsers", json!({})).0, "AccessDenied");
    let with = |code: Value| json!({"SerialNumber": serial, "TokenCode": code});
    let wrong = w.refusal_as(&ada, "GetSessionToken", with(json!("000000")));
    let text = "MultiFactorAuthentication failed with invalid MFA one time pass code. ";
    assert_eq!(wrong, refused("AccessDenied", text));
    let missing = w.refusal_as(&ada, "GetSessionToken", json!({"SerialNumber": serial}));
    assert_eq!(missing.0, "AccessDenied");
    let code = digits(&seed, w.now.seconds());
    let key = session(&w.call_as(&ada, "GetSessionToken", with(json!(code))));
    w.call_as(&key, "ListUsers", json!({}));

    // A role that trusts only who shows a code.
    w.role(
        "r",
        json!([{"Effect": "Allow", "Principal": {"AWS": "arn:aws:iam::123456789012:user/ada"},
            "Action": "sts:AssumeRole", "Condition": condition}]),
    );
    let mut ask = json!({"RoleArn": "arn:aws:iam::123456789012:role/r", "RoleSessionName": "s1"});
    assert_eq!(w.refusal_as(&ada, "AssumeRole", ask.clone()).0, "AccessDenied");
    w.call_as(&key, "AssumeRole", ask.clone());
    ask["SerialNumber"] = json!(serial);
    ask["TokenCode"] = json!(code);
    w.call_as(&ada, "AssumeRole", ask);

    let busy = w.refusal("DeleteVirtualMFADevice", json!({"SerialNumber": serial}));
    assert_eq!(busy.0, "DeleteConflict");
    w.call("DeactivateMFADevice", json!({"UserName": "ada", "SerialNumber": serial}));
    w.call("DeleteVirtualMFADevice", json!({"SerialNumber": serial}));
}

#[test]
fn a_key_tells_its_account() {
    let mut w = crate::world();
    let ada = w.user("ada", json!([]));
    let ask = json!({"AccessKeyId": ada.id});
    assert_eq!(w.call("GetAccessKeyInfo", ask.clone())["Account"], "123456789012");
    assert_eq!(w.refusal_as(&ada, "GetAccessKeyInfo", ask).0, "AccessDenied");
    let nobodys = json!({"AccessKeyId": "AKIAIOSFODNN7EXAMPLE"});
    assert_eq!(w.refusal("GetAccessKeyInfo", nobodys).0, "ValidationError");
}

#[test]
fn tokens_of_providers_that_are_not_there_are_refused() {
    let mut w = crate::world();
    let role = "arn:aws:iam::123456789012:role/r";
    let web = json!({"RoleArn": role, "RoleSessionName": "s1", "WebIdentityToken": "a.b.c.d"});
    let (code, text) = w.refusal("AssumeRoleWithWebIdentity", web.clone());
    assert_eq!(code, "InvalidIdentityToken");
    assert!(text.starts_with("No OpenIDConnect provider found"), "{text}");
    w.call("CreateOpenIDConnectProvider", json!({"Url": "https://id.example.com"}));
    let (code, text) = w.refusal("AssumeRoleWithWebIdentity", web);
    assert_eq!(code, "InvalidIdentityToken");
    assert!(text.starts_with("Couldn't retrieve verification key"), "{text}");
    let saml = json!({"RoleArn": role, "SAMLAssertion": "aaaa",
        "PrincipalArn": "arn:aws:iam::123456789012:saml-provider/x"});
    assert_eq!(w.refusal("AssumeRoleWithSAML", saml).0, "InvalidIdentityToken");
}
