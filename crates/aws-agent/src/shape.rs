//! One way of writing a message down: what equals its default is omitted, what is absent or null is the
//! default. A member where "absent" and "zero" differ is an `Option`.
//!
//! AWS: the agent drops messages with members of a wrong type, and takes an absent one as unset. Go writes
//! an empty list as `null` where a member is not `omitempty`, as Docker's configuration does.

use serde::{Deserialize, Deserializer};

pub(crate) fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

pub(crate) fn null_as_default<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: Default + Deserialize<'de>,
{
    Ok(Option::<T>::deserialize(deserializer)?.unwrap_or_default())
}

/// Structs of which every member may be absent. The word after the name is serde's rule for its members.
macro_rules! shape {
    ($(
        $(#[$about:meta])*
        $name:ident $rule:literal { $( $(#[$note:meta])* $member:ident : $type:ty ),* $(,)? }
    )*) => { $(
        $(#[$about])*
        #[derive(Clone, Debug, Default, PartialEq, serde::Serialize, serde::Deserialize)]
        #[serde(rename_all = $rule)]
        pub struct $name {
            $(
                $(#[$note])*
                #[serde(
                    default,
                    deserialize_with = "crate::shape::null_as_default",
                    skip_serializing_if = "crate::shape::is_default"
                )]
                pub $member: $type,
            )*
        }
    )* };
}

pub(crate) use shape;
