//! Tag, untag and list the tags of whatever has tags: eight families that differ in names only.

use crate::actions::prelude::*;
use crate::rows::certificate::ServerCertificate;
use crate::rows::instance_profile::InstanceProfile;
use crate::rows::mfa_device::MfaDevice;
use crate::rows::policy::Policy;
use crate::rows::provider::{OidcProvider, SamlProvider};
use crate::rows::role::Role;
use crate::rows::user::User;
use crate::rules::tagged::Tagged;

fn set<R: Tagged>(
    tx: &mut Tx<'_>,
    call: &Call,
    given: &str,
    new: &[api::Tag],
) -> Result<(), ApiError> {
    let mut row = R::find_named(tx, call.account(), given)?.clone();
    tags::merge(row.tags_mut(), new)?;
    tx.put(row);
    Ok(())
}

fn unset<R: Tagged>(
    tx: &mut Tx<'_>,
    call: &Call,
    given: &str,
    keys: &[String],
) -> Result<(), ApiError> {
    let mut row = R::find_named(tx, call.account(), given)?.clone();
    keys.iter().for_each(|key| tags::remove(row.tags_mut(), key));
    tx.put(row);
    Ok(())
}

fn list<R: Tagged>(
    view: &View<'_>,
    call: &Call,
    given: &str,
    asked: Asked<'_>,
) -> Result<Page<api::Tag>, ApiError> {
    let row = R::find_named(view, call.account(), given)?;
    asked.page(tags::shown(row.tags()), |tag| tag.key.clone().unwrap_or_default())
}

macro_rules! tagging {
    ($row:ty, $named:ident:
        $tag:ident $tag_answer:ident $tag_iam:literal,
        $untag:ident $untag_answer:ident $untag_iam:literal,
        $list:ident $list_answer:ident $list_iam:literal) => {
        pub struct $tag;

        impl WriteAction for $tag {
            type Op = api::ops::$tag;

            fn authorize(call: &Call, view: &View<'_>, input: &Input<Self::Op>) -> Demands {
                let demand = demand_tagged::<$row>(view, call, $tag_iam, text(&input.$named));
                tags::demanded(demand, input.tags.as_deref()).into()
            }

            fn run(call: &Call, tx: &mut Tx<'_>, input: Input<Self::Op>) -> Reply<Self::Op> {
                let new = input.tags.as_deref().unwrap_or_default();
                set::<$row>(tx, call, text(&input.$named), new)?;
                Ok(api::$tag_answer {})
            }
        }

        pub struct $untag;

        impl WriteAction for $untag {
            type Op = api::ops::$untag;

            fn authorize(call: &Call, view: &View<'_>, input: &Input<Self::Op>) -> Demands {
                let keys = input.tag_keys.clone().unwrap_or_default();
                demand_tagged::<$row>(view, call, $untag_iam, text(&input.$named))
                    .with_all("aws:TagKeys", keys)
                    .into()
            }

            fn run(call: &Call, tx: &mut Tx<'_>, input: Input<Self::Op>) -> Reply<Self::Op> {
                let keys = input.tag_keys.as_deref().unwrap_or_default();
                unset::<$row>(tx, call, text(&input.$named), keys)?;
                Ok(api::$untag_answer {})
            }
        }

        pub struct $list;

        impl ReadAction for $list {
            type Op = api::ops::$list;

            fn authorize(call: &Call, view: &View<'_>, input: &Input<Self::Op>) -> Demands {
                demand_tagged::<$row>(view, call, $list_iam, text(&input.$named)).into()
            }

            fn run(call: &Call, view: &View<'_>, input: Input<Self::Op>) -> Reply<Self::Op> {
                let marker = input.marker.as_deref();
                let asked = Asked { list: $list_iam, marker, max_items: input.max_items };
                let page = list::<$row>(view, call, text(&input.$named), asked)?;
                let Page { items, marker, is_truncated } = page;
                Ok(api::$list_answer { tags: Some(items), marker, is_truncated })
            }
        }
    };
}

tagging!(
    User, user_name:
    TagUser TagUserResponse "iam:TagUser",
    UntagUser UntagUserResponse "iam:UntagUser",
    ListUserTags ListUserTagsResponse "iam:ListUserTags"
);
tagging!(
    Role, role_name:
    TagRole TagRoleResponse "iam:TagRole",
    UntagRole UntagRoleResponse "iam:UntagRole",
    ListRoleTags ListRoleTagsResponse "iam:ListRoleTags"
);
tagging!(
    Policy, policy_arn:
    TagPolicy TagPolicyResponse "iam:TagPolicy",
    UntagPolicy UntagPolicyResponse "iam:UntagPolicy",
    ListPolicyTags ListPolicyTagsResponse "iam:ListPolicyTags"
);
tagging!(
    InstanceProfile, instance_profile_name:
    TagInstanceProfile TagInstanceProfileResponse "iam:TagInstanceProfile",
    UntagInstanceProfile UntagInstanceProfileResponse "iam:UntagInstanceProfile",
    ListInstanceProfileTags ListInstanceProfileTagsResponse "iam:ListInstanceProfileTags"
);
tagging!(
    MfaDevice, serial_number:
    TagMFADevice TagMFADeviceResponse "iam:TagMFADevice",
    UntagMFADevice UntagMFADeviceResponse "iam:UntagMFADevice",
    ListMFADeviceTags ListMFADeviceTagsResponse "iam:ListMFADeviceTags"
);
tagging!(
    ServerCertificate, server_certificate_name:
    TagServerCertificate TagServerCertificateResponse "iam:TagServerCertificate",
    UntagServerCertificate UntagServerCertificateResponse "iam:UntagServerCertificate",
    ListServerCertificateTags ListServerCertificateTagsResponse "iam:ListServerCertificateTags"
);
tagging!(
    OidcProvider, open_id_connect_provider_arn:
    TagOpenIDConnectProvider TagOpenIDConnectProviderResponse "iam:TagOpenIDConnectProvider",
    UntagOpenIDConnectProvider UntagOpenIDConnectProviderResponse "iam:UntagOpenIDConnectProvider",
    ListOpenIDConnectProviderTags ListOpenIDConnectProviderTagsResponse "iam:ListOpenIDConnectProviderTags"
);
tagging!(
    SamlProvider, saml_provider_arn:
    TagSAMLProvider TagSAMLProviderResponse "iam:TagSAMLProvider",
    UntagSAMLProvider UntagSAMLProviderResponse "iam:UntagSAMLProvider",
    ListSAMLProviderTags ListSAMLProviderTagsResponse "iam:ListSAMLProviderTags"
);
