//! What the process sees: a root of its own, in memory, with the machine's programs and libraries read
//! only, the granted folders where the profile says, and a `/tmp` that is gone with it.
//!
//! Every folder is opened before anything is covered, without following a link, and bound by its
//! descriptor: what is shown is what was looked at.

use std::os::fd::{AsRawFd as _, OwnedFd};
use std::path::Path;

use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::sched::{CloneFlags, unshare};
use rustix::fs::{CWD, Mode, OFlags, ResolveFlags, StatVfsMountFlags};

use crate::inmate::unconfined;
use crate::spec::Spec;
use crate::told::Told;

/// What every process may read and start: programs, libraries, and what the loader needs to find them.
/// Left out where the machine has no such folder.
pub(crate) const SYSTEM: [&str; 7] = ["/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/etc"];

/// Of `/etc` this alone: no account, no name of the machine, no key.
const OF_ETC: [&str; 4] = [
    "/etc/ld.so.cache",
    // Links in `/usr/bin` lead there on Debian and its like.
    "/etc/alternatives",
    "/etc/localtime",
    "/etc/ssl/openssl.cnf",
];

/// Devices that hold nothing of the machine.
const DEVICES: [&str; 5] = [
    "/dev/null",
    "/dev/zero",
    "/dev/full",
    "/dev/random",
    "/dev/urandom",
];

/// Where the new root is laid out: a folder that every machine has, covered in this namespace alone.
const STAGE: &str = "/tmp";

/// Lays it out and moves in; the machine's own root is out of reach when this returns.
pub(crate) fn lay_out(spec: &Spec) -> Result<(), Told> {
    let told = unconfined("a root of its own cannot be laid out");
    // First, because only what is opened in a namespace can be bound in it.
    unshare(CloneFlags::CLONE_NEWNS)
        .map_err(errno)
        .map_err(&told)?;
    let opened = open_grants(spec)?;
    let system = open_system();
    // In a namespace of its own: the machine's name tells who runs it.
    nix::unistd::sethostname("sandbox")
        .map_err(errno)
        .map_err(&told)?;
    // What is mounted here from now on is seen by nobody outside.
    change("/", MsFlags::MS_PRIVATE | MsFlags::MS_REC).map_err(&told)?;
    // A MiB holds the folders and empty files that others are mounted on, and nothing else is
    // written there.
    make(STAGE, "tmpfs", MsFlags::empty(), "size=1m,mode=755").map_err(&told)?;
    for piece in &system {
        piece.lay().map_err(&told)?;
    }
    accounts().map_err(&told)?;
    for (folder, fd) in spec.folders.iter().zip(&opened) {
        let lay = || -> rustix::io::Result<()> {
            let at = format!("{STAGE}{}", folder.guest);
            make_folders(&folder.guest)?;
            bind(fd, &at, folder.write)
        };
        lay().map_err(|error| {
            Told::Folder(format!(
                "`{}` cannot be shown to the process at `{}`: {error}",
                folder.host.display(),
                folder.guest
            ))
        })?;
    }
    let own = |at: &str, kind: &str, data: &str| -> rustix::io::Result<()> {
        make_folders(at)?;
        make(&format!("{STAGE}{at}"), kind, MsFlags::MS_NOEXEC, data)
    };
    let room = format!("size={},mode=1777", spec.bounds.file_bytes);
    own("/tmp", "tmpfs", &room).map_err(&told)?;
    // Its own processes, and no table of the machine beside them.
    own("/proc", "proc", "subset=pid").map_err(unconfined(
        "the table of its own processes cannot be shown (a container that covers parts of /proc forbids it)",
    ))?;
    move_in().map_err(told)
}

/// Swaps the roots, and lets the old one go.
fn move_in() -> rustix::io::Result<()> {
    rustix::fs::mkdir(format!("{STAGE}/.old"), Mode::RWXU)?;
    rustix::process::chdir(STAGE)?;
    rustix::process::pivot_root(".", "./.old")?;
    rustix::process::chdir("/")?;
    // Detached, because descriptors of the old root are open until the program begins; by path it
    // is gone now.
    umount2("/.old", MntFlags::MNT_DETACH).map_err(errno)?;
    rustix::fs::rmdir("/.old")?;
    // Last, because the folder of the old root had to be removed.
    remount("/", MsFlags::MS_RDONLY)
}

/// A file system of the sandbox's own.
fn make(at: &str, kind: &str, flags: MsFlags, data: &str) -> rustix::io::Result<()> {
    let flags = flags | MsFlags::MS_NOSUID | MsFlags::MS_NODEV;
    mount(Some("flowhost"), at, Some(kind), flags, Some(data)).map_err(errno)
}

/// Shows what an open descriptor is at `at`, with what is mounted below it.
fn show(fd: &OwnedFd, at: &str) -> rustix::io::Result<()> {
    let from = format!("/proc/self/fd/{}", fd.as_raw_fd());
    // With what is mounted below: the kernel refuses a plain user a part of a tree whose other
    // mounts would come to light.
    let flags = MsFlags::MS_BIND | MsFlags::MS_REC;
    mount(Some(from.as_str()), at, NOTHING, flags, NOTHING).map_err(errno)
}

fn change(at: &str, flags: MsFlags) -> rustix::io::Result<()> {
    mount(NOTHING, at, NOTHING, flags, NOTHING).map_err(errno)
}

/// Takes more away from what is mounted at `at`.
fn remount(at: &str, flags: MsFlags) -> rustix::io::Result<()> {
    let always = MsFlags::MS_REMOUNT | MsFlags::MS_BIND | MsFlags::MS_NOSUID | MsFlags::MS_NODEV;
    change(at, always | flags)
}

const NOTHING: Option<&str> = None;

fn errno(error: nix::errno::Errno) -> rustix::io::Errno {
    rustix::io::Errno::from_raw_os_error(error as i32)
}

/// Each granted folder, in the order of the wish.
fn open_grants(spec: &Spec) -> Result<Vec<OwnedFd>, Told> {
    let open = |folder: &crate::spec::Folder| {
        // A place and no more: nothing of the folder is read by the host on the process's behalf.
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let ways = ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
        rustix::fs::openat2(CWD, &folder.host, flags, Mode::empty(), ways).map_err(|error| {
            Told::Folder(format!(
                "`{}` cannot be opened for the process: {error}",
                folder.host.display()
            ))
        })
    };
    spec.folders.iter().map(open).collect()
}

/// A piece of the machine that everyone sees.
enum Piece {
    /// `/bin` is a link on most machines, and stays one.
    Link { at: String, to: Vec<u8> },
    Bound {
        at: String,
        fd: OwnedFd,
        is_folder: bool,
        read_only: bool,
    },
}

/// What there is of [`SYSTEM`], [`OF_ETC`] and [`DEVICES`].
fn open_system() -> Vec<Piece> {
    let folders = SYSTEM.iter().filter(|at| **at != "/etc");
    let read_only = folders.chain(&OF_ETC).map(|at| (*at, true));
    read_only
        .chain(DEVICES.iter().map(|at| (*at, false)))
        .filter_map(|(at, read_only)| piece(at, read_only))
        .collect()
}

fn piece(at: &str, read_only: bool) -> Option<Piece> {
    let path = Path::new(at);
    // What stands in /etc is looked at through its link: it is the file that is wanted.
    let is_link = !at.starts_with("/etc/") && path.is_symlink();
    if is_link {
        let to = rustix::fs::readlink(at, Vec::new()).ok()?;
        return Some(Piece::Link {
            at: at.to_owned(),
            to: to.into_bytes(),
        });
    }
    // What this machine does not have, or keeps from this person, a process does not see either.
    let fd = rustix::fs::open(at, OFlags::PATH | OFlags::CLOEXEC, Mode::empty()).ok()?;
    Some(Piece::Bound {
        at: at.to_owned(),
        fd,
        is_folder: path.is_dir(),
        read_only,
    })
}

impl Piece {
    fn lay(&self) -> rustix::io::Result<()> {
        match self {
            Self::Link { at, to } => rustix::fs::symlink(to.as_slice(), format!("{STAGE}{at}")),
            Self::Bound {
                at,
                fd,
                is_folder,
                read_only,
            } => {
                let place = format!("{STAGE}{at}");
                if *is_folder {
                    make_folders(at)?;
                } else {
                    make_folders(parent(at))?;
                    write(&place, "")?;
                }
                match read_only {
                    true => bind(fd, &place, false),
                    // A device is written to, and that changes nothing.
                    false => show(fd, &place),
                }
            }
        }
    }
}

/// Binds what `fd` is to `at`. No program with somebody else's rights and no device comes with it; what may
/// be written may not be started.
fn bind(fd: &OwnedFd, at: &str, write: bool) -> rustix::io::Result<()> {
    show(fd, at)?;
    let now = rustix::fs::statvfs(at)?.f_flag;
    let mut flags = MsFlags::empty();
    // What the machine forbids there stays forbidden, or the kernel refuses.
    if write || now.contains(StatVfsMountFlags::NOEXEC) {
        flags |= MsFlags::MS_NOEXEC;
    }
    if !write || now.contains(StatVfsMountFlags::RDONLY) {
        flags |= MsFlags::MS_RDONLY;
    }
    remount(at, flags)
}

/// One account, as programs ask for it: nobody of this machine.
fn accounts() -> rustix::io::Result<()> {
    make_folders("/etc")?;
    write(
        &format!("{STAGE}/etc/passwd"),
        // Programs ask for the name of their id, and give up where there is none.
        "sandbox:x:0:0:sandbox:/tmp:/bin/false\n",
    )?;
    write(&format!("{STAGE}/etc/group"), "sandbox:x:0:\n")
}

/// All folders on the way to `at`, below the stage.
fn make_folders(at: &str) -> rustix::io::Result<()> {
    let mut path = STAGE.to_owned();
    for name in at.split('/').filter(|name| !name.is_empty()) {
        path.push('/');
        path.push_str(name);
        match rustix::fs::mkdir(path.as_str(), Mode::from_raw_mode(0o755)) {
            Ok(()) | Err(rustix::io::Errno::EXIST) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

fn parent(at: &str) -> &str {
    at.rsplit_once('/').map_or("", |(parent, _)| parent)
}

fn write(file: &str, text: &str) -> rustix::io::Result<()> {
    // Not over anything: two pieces at one place would be a mistake in the lists above.
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
    let fd = rustix::fs::open(file, flags, Mode::from_raw_mode(0o644))?;
    rustix::io::write(&fd, text.as_bytes())?;
    Ok(())
}
