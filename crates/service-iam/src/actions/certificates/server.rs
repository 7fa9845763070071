//! Server certificates: upload, get, list, update, delete.

use crate::actions::prelude::*;
use crate::rows::certificate::ServerCertificate;
use crate::rules::certificates;

/// AWS: server certificates in an account.
pub const QUOTA: usize = 20;

fn metadata(row: &ServerCertificate) -> api::ServerCertificateMetadata {
    api::ServerCertificateMetadata {
        arn: Some(row.arn()),
        expiration: Some(views::time(row.expires_at)),
        path: Some(row.head.path.to_string()),
        server_certificate_id: Some(row.head.id.to_string()),
        server_certificate_name: Some(row.head.name.to_string()),
        upload_date: Some(views::time(row.head.created_at)),
    }
}

fn already(name: &str) -> ApiError {
    errors::entity_already_exists_exception(format!(
        "The Server Certificate with name {name} already exists."
    ))
}

pub struct UploadServerCertificate;

impl WriteAction for UploadServerCertificate {
    type Op = api::ops::UploadServerCertificate;

    fn authorize(call: &Call, _: &View<'_>, input: &Input<Self::Op>) -> Demands {
        let path = input.path.as_deref().unwrap_or("/");
        let name = text(&input.server_certificate_name);
        let arn = names::arn(call.account(), ServerCertificate::KIND, path, name);
        let demand = Demand::on("iam:UploadServerCertificate", arn);
        tags::demanded(demand, input.tags.as_deref()).into()
    }

    fn run(call: &Call, tx: &mut Tx<'_>, input: Input<Self::Op>) -> Reply<Self::Op> {
        let (account, name) = (call.account(), text(&input.server_certificate_name));
        if tx.get::<ServerCertificate>(&key_of(account, name)).is_some() {
            return Err(already(name));
        }
        let quota = "ServerCertificatesPerAccount";
        entities::check_quota::<ServerCertificate>(tx, account, quota, QUOTA)?;
        let body = text(&input.certificate_body).trim_end();
        let expires_at = certificates::expiry(body)?;
        certificates::check_private_key(text(&input.private_key))?;
        if let Some(chain) = &input.certificate_chain {
            certificates::check_chain(chain)?;
        }
        let now = tx.now();
        let row = ServerCertificate {
            head: entities::head(tx.dice, now, account, "ASCA", name, input.path.as_deref()),
            body: body.into(),
            chain: input.certificate_chain.as_deref().map(|chain| chain.trim_end().into()),
            private_key: text(&input.private_key).into(),
            expires_at,
            tags: tags::parse(input.tags.as_deref())?,
        };
        let answer = api::UploadServerCertificateResponse {
            server_certificate_metadata: Some(metadata(&row)),
            tags: views::shown_tags(&row.tags),
        };
        tx.put(row);
        Ok(answer)
    }
}

pub struct GetServerCertificate;

impl ReadAction for GetServerCertificate {
    type Op = api::ops::GetServerCertificate;

    fn authorize(call: &Call, view: &View<'_>, input: &Input<Self::Op>) -> Demands {
        let name = text(&input.server_certificate_name);
        demand_tagged::<ServerCertificate>(view, call, "iam:GetServerCertificate", name).into()
    }

    fn run(call: &Call, view: &View<'_>, input: Input<Self::Op>) -> Reply<Self::Op> {
        let name = text(&input.server_certificate_name);
        let row = find::<ServerCertificate>(view, call.account(), name)?;
        let shown = api::ServerCertificate {
            certificate_body: Some(row.body.to_string()),
            certificate_chain: row.chain.as_deref().map(str::to_owned),
            server_certificate_metadata: Some(metadata(row)),
            tags: views::shown_tags(&row.tags),
        };
        Ok(api::GetServerCertificateResponse { server_certificate: Some(shown) })
    }
}

pub struct ListServerCertificates;

impl ReadAction for ListServerCertificates {
    type Op = api::ops::ListServerCertificates;

    fn authorize(_: &Call, _: &View<'_>, _: &Input<Self::Op>) -> Demands {
        Demand::anywhere("iam:ListServerCertificates").into()
    }

    fn run(call: &Call, view: &View<'_>, input: Input<Self::Op>) -> Reply<Self::Op> {
        let marker = input.marker.as_deref();
        let asked = Asked { list: "ListServerCertificates", marker, max_items: input.max_items };
        let prefix = input.path_prefix.as_deref();
        let page = asked.rows::<ServerCertificate>(view, call.account(), prefix)?.map(metadata);
        let Page { items, marker, is_truncated } = page;
        let server_certificate_metadata_list = Some(items);
        Ok(api::ListServerCertificatesResponse {
            server_certificate_metadata_list,
            marker,
            is_truncated,
        })
    }
}

pub struct UpdateServerCertificate;

impl WriteAction for UpdateServerCertificate {
    type Op = api::ops::UpdateServerCertificate;

    fn authorize(call: &Call, view: &View<'_>, input: &Input<Self::Op>) -> Demands {
        let name = text(&input.server_certificate_name);
        demand_tagged::<ServerCertificate>(view, call, "iam:UpdateServerCertificate", name).into()
    }

    fn run(call: &Call, tx: &mut Tx<'_>, input: Input<Self::Op>) -> Reply<Self::Op> {
        let (account, name) = (call.account(), text(&input.server_certificate_name));
        let mut row = find::<ServerCertificate>(tx, account, name)?.clone();
        let old = key_of(account, &row.head.name);
        if let Some(path) = &input.new_path {
            row.head.path = path.as_str().into();
        }
        if let Some(name) = &input.new_server_certificate_name {
            let new = key_of(account, name);
            if new != old && tx.get::<ServerCertificate>(&new).is_some() {
                return Err(already(name));
            }
            row.head.name = name.as_str().into();
        }
        tx.delete::<ServerCertificate>(&old);
        tx.put(row);
        Ok(api::UpdateServerCertificateResponse {})
    }
}

pub struct DeleteServerCertificate;

impl WriteAction for DeleteServerCertificate {
    type Op = api::ops::DeleteServerCertificate;

    fn authorize(call: &Call, view: &View<'_>, input: &Input<Self::Op>) -> Demands {
        let name = text(&input.server_certificate_name);
        demand_tagged::<ServerCertificate>(view, call, "iam:DeleteServerCertificate", name).into()
    }

    fn run(call: &Call, tx: &mut Tx<'_>, input: Input<Self::Op>) -> Reply<Self::Op> {
        let name = text(&input.server_certificate_name);
        find::<ServerCertificate>(tx, call.account(), name)?;
        tx.delete::<ServerCertificate>(&key_of(call.account(), name));
        Ok(api::DeleteServerCertificateResponse {})
    }
}
