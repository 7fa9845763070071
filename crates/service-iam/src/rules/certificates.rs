//! Certificates as PEM: whether they are some, and until when they are good.

use aws_protocol::ApiError;
use core_types::Time;
use model_iam::errors;
use x509_parser::pem::Pem;

fn malformed(text: &str) -> ApiError {
    errors::malformed_certificate_exception(text)
}

/// When the one certificate in this text expires.
pub fn expiry(pem: &str) -> Result<Time, ApiError> {
    let wrong = || {
        malformed("Unable to parse certificate. Please ensure the certificate is in PEM format.")
    };
    let first = Pem::iter_from_buffer(pem.as_bytes()).next().ok_or_else(wrong)?;
    let first = first.map_err(|_| wrong())?;
    if first.label != "CERTIFICATE" {
        return Err(wrong());
    }
    let certificate = first.parse_x509().map_err(|_| wrong())?;
    Ok(Time(certificate.validity().not_after.timestamp().saturating_mul(1000)))
}

/// AWS: a chain is one or more certificates.
pub fn check_chain(pem: &str) -> Result<(), ApiError> {
    let wrong = || {
        malformed(
            "Unable to parse certificate chain. Please ensure the certificate chain is in PEM format.",
        )
    };
    let mut count = 0;
    for block in Pem::iter_from_buffer(pem.as_bytes()) {
        let block = block.map_err(|_| wrong())?;
        if block.label != "CERTIFICATE" || block.parse_x509().is_err() {
            return Err(wrong());
        }
        count += 1;
    }
    if count > 0 { Ok(()) } else { Err(wrong()) }
}

/// AWS: an unencrypted private key in PEM.
pub fn check_private_key(pem: &str) -> Result<(), ApiError> {
    let wrong = || {
        malformed("Unable to parse key; the body must be an unencrypted private key in PEM format.")
    };
    let first = Pem::iter_from_buffer(pem.as_bytes()).next().ok_or_else(wrong)?;
    match first.map_err(|_| wrong())?.label.as_str() {
        "PRIVATE KEY" | "RSA PRIVATE KEY" | "EC PRIVATE KEY" => Ok(()),
        _ => Err(wrong()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn no_text_panics(text in ".{0,300}", bytes in any::<Vec<u8>>()) {
            use base64::Engine;
            let body = base64::engine::general_purpose::STANDARD.encode(bytes);
            let framed =
                format!("-----BEGIN CERTIFICATE-----\n{body}\n-----END CERTIFICATE-----\n");
            for pem in [&text, &framed] {
                prop_assert!(expiry(pem).is_err());
                prop_assert!(check_chain(pem).is_err());
                prop_assert!(check_private_key(pem).is_err());
            }
        }
    }
}
