//! From rows to AWS's shapes.

use aws_protocol::Timestamp;
use core_types::Time;
use model_ssm as api;

use crate::rows::activation::Activation;

pub fn time(time: Time) -> Timestamp {
    Timestamp::from_millis(time.millis())
}

pub fn activation(row: &Activation, now: Time) -> api::Activation {
    let tags = row
        .tags
        .iter()
        .map(|(key, value)| api::Tag { key: Some(key.clone()), value: Some(value.clone()) });
    api::Activation {
        activation_id: Some(row.id.to_string()),
        description: row.description.clone(),
        default_instance_name: row.instance_name.clone(),
        iam_role: Some(row.role.to_string()),
        registration_limit: Some(row.limit as i32),
        registrations_count: Some(row.registrations as i32),
        expiration_date: Some(time(row.expires_at)),
        expired: Some(row.expires_at <= now),
        created_date: Some(time(row.created_at)),
        tags: (!row.tags.is_empty()).then(|| tags.collect()),
    }
}
