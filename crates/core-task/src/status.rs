//! Statuses in the order in which a life passes through them.

use serde::{Deserialize, Serialize};

macro_rules! statuses {
    ($(#[$doc:meta])* $name:ident { $($(#[$note:meta])* $variant:ident = $text:literal),* $(,)? }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[derive(Serialize, Deserialize)]
        #[serde(rename_all = "SCREAMING_SNAKE_CASE")]
        pub enum $name { $($(#[$note])* $variant),* }

        impl $name {
            pub const ALL: &'static [$name] = &[$($name::$variant),*];

            /// AWS's word.
            pub const fn as_str(self) -> &'static str {
                match self { $($name::$variant => $text),* }
            }

            pub fn parse(text: &str) -> Option<Self> {
                Self::ALL.iter().copied().find(|status| status.as_str() == text)
            }
        }
    };
}

statuses! {
    /// What is known of a task.
    TaskStatus {
        Provisioning = "PROVISIONING",
        Pending = "PENDING",
        Activating = "ACTIVATING",
        Running = "RUNNING",
        Deactivating = "DEACTIVATING",
        Stopping = "STOPPING",
        Deprovisioning = "DEPROVISIONING",
        Stopped = "STOPPED",
    }
}

statuses! {
    /// What is known of a container.
    #[derive(Default)]
    ContainerStatus {
        #[default]
        Pending = "PENDING",
        Running = "RUNNING",
        Stopped = "STOPPED",
    }
}

statuses! {
    /// What is wanted of a task.
    Desired {
        Running = "RUNNING",
        Stopped = "STOPPED",
    }
}

impl ContainerStatus {
    /// Agents name finer steps; between them AWS shows only these three.
    pub fn from_agent(text: &str) -> Option<Self> {
        match text {
            "RUNNING" | "RESOURCES_PROVISIONED" => Some(ContainerStatus::Running),
            "STOPPED" => Some(ContainerStatus::Stopped),
            "PENDING" | "MANIFEST_PULLED" | "PULLED" | "CREATED" | "NONE" => {
                Some(ContainerStatus::Pending)
            }
            _ => None,
        }
    }
}
