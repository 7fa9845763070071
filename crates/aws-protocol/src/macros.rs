//! The two macros that generated code consists of: a structure and an enum, each with its schema.

/// Declares a structure, its static schema and the access by index that codecs need.
#[macro_export]
macro_rules! shape {
    ($(
        $name:ident $schema:ident $wire:literal [$($trait:tt)*] {
            $( $index:literal $field:ident: $type:ty = $member:expr; )*
        }
    )*) => { $(
        #[derive(Clone, Default, PartialEq)]
        pub struct $name {
            $( pub $field: ::std::option::Option<$type>, )*
        }

        impl ::std::fmt::Debug for $name {
            fn fmt(&self, f: &mut ::std::fmt::Formatter<'_>) -> ::std::fmt::Result {
                $crate::debug(self, f)
            }
        }

        pub static $schema: $crate::schema::Schema =
            $crate::schema::structure($wire, &[$( $member, )*]) $($trait)*;

        impl $crate::AnyShape for $name {
            fn schema(&self) -> &'static $crate::schema::Schema {
                &$schema
            }
            fn field(&self, index: usize) -> &dyn $crate::Field {
                match index {
                    $( $index => &self.$field, )*
                    _ => $crate::no_such_member($wire, index),
                }
            }
            fn field_mut(&mut self, index: usize) -> &mut dyn $crate::Field {
                match index {
                    $( $index => &mut self.$field, )*
                    _ => $crate::no_such_member($wire, index),
                }
            }
        }

        impl $crate::Field for $name {
            fn get(&self) -> $crate::Value<'_> {
                $crate::Value::Structure(self)
            }
            fn structure(&mut self) -> ::std::option::Option<&mut dyn $crate::AnyShape> {
                ::std::option::Option::Some(self)
            }
        }

        impl $crate::Shape for $name {
            const SCHEMA: &'static $crate::schema::Schema = &$schema;
        }

        $crate::stored_by_schema!($name);
    )* };
}

/// Declares an open enum: a string with named constants, because AWS adds values at any time.
#[macro_export]
macro_rules! text_enum {
    ($(
        $name:ident $schema:ident $wire:literal [$($trait:tt)*] {
            $( $constant:ident = $value:literal; )*
        }
    )*) => { $(
        #[derive(Clone, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name(pub ::std::borrow::Cow<'static, str>);

        #[allow(non_upper_case_globals)]
        impl $name {
            $( pub const $constant: Self = Self(::std::borrow::Cow::Borrowed($value)); )*

            /// The values that the model knows.
            pub const VALUES: &'static [&'static str] = &[$( $value, )*];

            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        pub static $schema: $crate::schema::Schema =
            $crate::schema::simple($wire, $crate::schema::Kind::String)
                .values($name::VALUES) $($trait)*;

        $crate::text_enum_impls!($name);
    )* };
}

#[doc(hidden)]
#[macro_export]
macro_rules! text_enum_impls {
    ($name:ident) => {
        impl $crate::Field for $name {
            fn get(&self) -> $crate::Value<'_> {
                $crate::Value::String(&self.0)
            }
            fn put(&mut self, value: $crate::Scalar) -> Result<(), $crate::Mismatch> {
                self.0 = ::std::borrow::Cow::Owned($crate::text_of(value)?);
                Ok(())
            }
        }
        impl From<&str> for $name {
            fn from(text: &str) -> Self {
                Self(::std::borrow::Cow::Owned(text.to_owned()))
            }
        }
        impl From<String> for $name {
            fn from(text: String) -> Self {
                Self(::std::borrow::Cow::Owned(text))
            }
        }
        impl From<$name> for String {
            fn from(value: $name) -> String {
                value.0.into_owned()
            }
        }
        impl AsRef<str> for $name {
            fn as_ref(&self) -> &str {
                &self.0
            }
        }
        impl ::std::fmt::Display for $name {
            fn fmt(&self, f: &mut ::std::fmt::Formatter<'_>) -> ::std::fmt::Result {
                f.write_str(&self.0)
            }
        }
        impl PartialEq<str> for $name {
            fn eq(&self, other: &str) -> bool {
                self.0 == other
            }
        }
        impl PartialEq<&str> for $name {
            fn eq(&self, other: &&str) -> bool {
                self.0 == *other
            }
        }
        impl $crate::serde::Serialize for $name {
            fn serialize<S>(&self, serializer: S) -> Result<S::Ok, S::Error>
            where
                S: $crate::serde::Serializer,
            {
                serializer.serialize_str(&self.0)
            }
        }
        impl<'de> $crate::serde::Deserialize<'de> for $name {
            fn deserialize<D>(deserializer: D) -> Result<Self, D::Error>
            where
                D: $crate::serde::Deserializer<'de>,
            {
                <String as $crate::serde::Deserialize>::deserialize(deserializer).map(Self::from)
            }
        }
    };
}

/// Lets rows embed a shape: serde goes through the schema, so no per-type code is generated.
#[doc(hidden)]
#[macro_export]
macro_rules! stored_by_schema {
    ($name:ident) => {
        impl $crate::serde::Serialize for $name {
            fn serialize<S>(&self, serializer: S) -> Result<S::Ok, S::Error>
            where
                S: $crate::serde::Serializer,
            {
                $crate::stored::serialize(self, serializer)
            }
        }
        impl<'de> $crate::serde::Deserialize<'de> for $name {
            fn deserialize<D>(deserializer: D) -> Result<Self, D::Error>
            where
                D: $crate::serde::Deserializer<'de>,
            {
                $crate::stored::deserialize(deserializer)
            }
        }
    };
}

/// Declares operations: a type for each, and its table.
#[macro_export]
macro_rules! operations {
    ($service:path; $(
        $name:ident $def:ident $input:ty => $output:ty, $method:literal $uri:literal
            [$($trait:tt)*];
    )*) => { $(
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
        pub struct $name;

        pub static $def: $crate::OperationDef = $crate::OperationDef::new::<$name>(
            stringify!($name), &$service, $method, $uri) $($trait)*;

        impl $crate::Operation for $name {
            type Input = $input;
            type Output = $output;
            const DEF: &'static $crate::OperationDef = &$def;
        }
    )* };
}

/// Declares the errors of a model: a table and a constructor for each.
#[macro_export]
macro_rules! errors {
    ($(
        $function:ident $def:ident $name:literal $code:literal $status:literal $fault:ident
            $schema:path;
    )*) => { $(
        pub static $def: $crate::ErrorDef = $crate::ErrorDef {
            name: $name,
            code: $code,
            status: $status,
            fault: $crate::Fault::$fault,
            schema: &$schema,
        };

        pub fn $function(message: impl Into<::std::string::String>) -> $crate::ApiError {
            $crate::ApiError::modelled(&$def, message)
        }
    )* };
}
