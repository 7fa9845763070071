//! Flags of open(2), by the kernel's names.

use std::ops::BitOr;

use rustix::fs::OFlags;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OpenFlags(pub(crate) OFlags);

impl OpenFlags {
    pub const O_RDONLY: Self = Self(OFlags::RDONLY);
    pub const O_WRONLY: Self = Self(OFlags::WRONLY);
    pub const O_CLOEXEC: Self = Self(OFlags::CLOEXEC);
    pub const O_CREAT: Self = Self(OFlags::CREATE);
    pub const O_EXCL: Self = Self(OFlags::EXCL);
    pub const O_NOFOLLOW: Self = Self(OFlags::NOFOLLOW);
    pub const O_DIRECTORY: Self = Self(OFlags::DIRECTORY);
}

impl BitOr for OpenFlags {
    type Output = Self;

    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}
