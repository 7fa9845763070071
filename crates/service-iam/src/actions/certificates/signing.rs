//! Signing certificates of users: upload, list, update, delete.

use crate::actions::prelude::*;
use crate::rows::certificate::{CertificatesOf, SigningCertificate};
use crate::rules::{certificates, keys};

/// AWS: signing certificates a user may have.
pub const QUOTA: usize = 2;

fn shown(row: &SigningCertificate, user_name: Option<String>) -> api::SigningCertificate {
    api::SigningCertificate {
        certificate_body: Some(row.body.to_string()),
        certificate_id: Some(row.id.to_string()),
        status: views::status(row.active),
        upload_date: Some(views::time(row.uploaded_at)),
        user_name,
    }
}

fn find_certificate(
    tx: &Tx<'_>,
    call: &Call,
    user: &str,
    id: &str,
) -> Result<SigningCertificate, ApiError> {
    let row = tx.get::<SigningCertificate>(&(call.account(), id.into()));
    row.filter(|row| *row.user == *user).cloned().ok_or_else(|| {
        let text = format!("The Certificate with id {id} cannot be found.");
        errors::no_such_entity_exception(text)
    })
}

pub struct UploadSigningCertificate;

impl WriteAction for UploadSigningCertificate {
    type Op = api::ops::UploadSigningCertificate;

    fn authorize(call: &Call, view: &View<'_>, input: &Input<Self::Op>) -> Demands {
        keys::demand(view, call, "iam:UploadSigningCertificate", input.user_name.as_deref()).into()
    }

    fn run(call: &Call, tx: &mut Tx<'_>, input: Input<Self::Op>) -> Reply<Self::Op> {
        let name = input.user_name.as_deref();
        let (owner, user_name) = keys::owner(tx, call, name)?;
        let user: Key = (call.account(), owner.name());
        let body = text(&input.certificate_body);
        certificates::expiry(body)?;
        if tx.by::<CertificatesOf>(&user).any(|there| *there.body == *body) {
            return Err(errors::duplicate_certificate_exception(
                "The certificate is already associated with a user.",
            ));
        }
        if tx.by::<CertificatesOf>(&user).count() >= QUOTA {
            return Err(entities::exceeded("SigningCertificatesPerUser", QUOTA));
        }
        let row = SigningCertificate {
            account: call.account(),
            id: tx.dice.base32(32).into(),
            user: user.1,
            body: body.into(),
            active: true,
            uploaded_at: tx.now(),
        };
        let certificate = Some(shown(&row, user_name));
        tx.put(row);
        Ok(api::UploadSigningCertificateResponse { certificate })
    }
}

pub struct ListSigningCertificates;

impl ReadAction for ListSigningCertificates {
    type Op = api::ops::ListSigningCertificates;

    fn authorize(call: &Call, view: &View<'_>, input: &Input<Self::Op>) -> Demands {
        keys::demand(view, call, "iam:ListSigningCertificates", input.user_name.as_deref()).into()
    }

    fn run(call: &Call, view: &View<'_>, input: Input<Self::Op>) -> Reply<Self::Op> {
        let name = input.user_name.as_deref();
        let (owner, user_name) = keys::owner(view, call, name)?;
        let marker = input.marker.as_deref();
        let asked = Asked { list: "ListSigningCertificates", marker, max_items: input.max_items };
        let rows = view.by::<CertificatesOf>(&(call.account(), owner.name()));
        let page = asked.page(rows, |row| row.id.to_string())?;
        let page = page.map(|row| shown(row, user_name.clone()));
        let Page { items, marker, is_truncated } = page;
        Ok(api::ListSigningCertificatesResponse { certificates: Some(items), marker, is_truncated })
    }
}

pub struct UpdateSigningCertificate;

impl WriteAction for UpdateSigningCertificate {
    type Op = api::ops::UpdateSigningCertificate;

    fn authorize(call: &Call, view: &View<'_>, input: &Input<Self::Op>) -> Demands {
        keys::demand(view, call, "iam:UpdateSigningCertificate", input.user_name.as_deref()).into()
    }

    fn run(call: &Call, tx: &mut Tx<'_>, input: Input<Self::Op>) -> Reply<Self::Op> {
        let name = input.user_name.as_deref();
        let (owner, _) = keys::owner(tx, call, name)?;
        let mut row = find_certificate(tx, call, &owner.name(), text(&input.certificate_id))?;
        row.active = input.status.as_ref().is_some_and(|s| *s == api::StatusType::ACTIVE);
        tx.put(row);
        Ok(api::UpdateSigningCertificateResponse {})
    }
}

pub struct DeleteSigningCertificate;

impl WriteAction for DeleteSigningCertificate {
    type Op = api::ops::DeleteSigningCertificate;

    fn authorize(call: &Call, view: &View<'_>, input: &Input<Self::Op>) -> Demands {
        keys::demand(view, call, "iam:DeleteSigningCertificate", input.user_name.as_deref()).into()
    }

    fn run(call: &Call, tx: &mut Tx<'_>, input: Input<Self::Op>) -> Reply<Self::Op> {
        let name = input.user_name.as_deref();
        let (owner, _) = keys::owner(tx, call, name)?;
        let row = find_certificate(tx, call, &owner.name(), text(&input.certificate_id))?;
        tx.delete::<SigningCertificate>(&(row.account, row.id));
        Ok(api::DeleteSigningCertificateResponse {})
    }
}
