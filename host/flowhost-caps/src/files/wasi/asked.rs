//! What the flags of an opening ask for, in the words of the folders below.

use wasmtime_wasi::p2::bindings::filesystem::types::{DescriptorFlags, OpenFlags, PathFlags};

use crate::files::root::Wish;

pub(super) fn follows(flags: PathFlags) -> bool {
    flags.contains(PathFlags::SYMLINK_FOLLOW)
}

pub(super) fn wish(path: PathFlags, open: OpenFlags, flags: DescriptorFlags) -> Wish {
    Wish {
        read: flags.contains(DescriptorFlags::READ),
        write: flags.contains(DescriptorFlags::WRITE),
        create: open.contains(OpenFlags::CREATE),
        exclusive: open.contains(OpenFlags::EXCLUSIVE),
        truncate: open.contains(OpenFlags::TRUNCATE),
        directory: open.contains(OpenFlags::DIRECTORY),
        follow: follows(path),
    }
}
