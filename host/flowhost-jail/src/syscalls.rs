//! What a process may ask the kernel for: what ordinary programs need, and no more.
//!
//! Three filters, of which the strictest answer counts. What no honest program does in here (mounting,
//! tracing, loading code into the kernel) ends the process, and the warden tells. What is simply not
//! needed is answered with `EPERM`. New namespaces are refused by their flags, and `clone3`, whose flags a
//! filter cannot see, is said not to exist, so that libraries take `clone`.

use std::collections::BTreeMap;

use libc::{SYS_clone, SYS_clone3, SYS_socket, SYS_socketpair, c_long};
use seccompiler::{
    BackendError, BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition,
    SeccompFilter, SeccompRule, apply_filter,
};

/// The list of calls, by name.
macro_rules! calls {
    ($($name:ident)*) => { &[$(libc::$name),*] };
}

/// For every architecture. `memfd_create` is not among them: what is written there is memory of no process, which the bound
/// on memory does not see.
const ALLOWED: &[c_long] = calls! {
    SYS_accept SYS_accept4 SYS_bind SYS_brk SYS_capget SYS_chdir SYS_clock_getres
    SYS_clock_gettime SYS_clock_nanosleep SYS_close SYS_close_range SYS_connect SYS_copy_file_range
    SYS_dup SYS_dup3 SYS_epoll_create1 SYS_epoll_ctl SYS_epoll_pwait SYS_epoll_pwait2 SYS_eventfd2
    SYS_execve SYS_execveat SYS_exit SYS_exit_group SYS_faccessat SYS_faccessat2 SYS_fadvise64
    SYS_fallocate SYS_fchdir SYS_fchmod SYS_fchmodat SYS_fchown SYS_fchownat SYS_fcntl
    SYS_fdatasync SYS_fgetxattr SYS_flistxattr SYS_flock SYS_fstat SYS_fstatfs SYS_fsync SYS_ftruncate
    SYS_futex SYS_futex_waitv SYS_get_robust_list SYS_getcpu SYS_getcwd SYS_getdents64 SYS_getegid
    SYS_geteuid SYS_getgid SYS_getgroups SYS_getitimer SYS_getpeername SYS_getpgid SYS_getpid
    SYS_getppid SYS_getpriority SYS_getrandom SYS_getresgid SYS_getresuid SYS_getrlimit SYS_getrusage
    SYS_getsid SYS_getsockname SYS_getsockopt SYS_gettid SYS_gettimeofday SYS_getuid SYS_getxattr
    SYS_inotify_add_watch SYS_inotify_init1 SYS_inotify_rm_watch SYS_ioctl SYS_kill SYS_lgetxattr
    SYS_linkat SYS_listen SYS_listxattr SYS_llistxattr SYS_lseek SYS_madvise SYS_membarrier
    SYS_mincore SYS_mkdirat SYS_mlock SYS_mmap SYS_mprotect SYS_mremap SYS_msync
    SYS_munlock SYS_munmap SYS_nanosleep SYS_newfstatat SYS_openat SYS_openat2 SYS_pidfd_open
    SYS_pidfd_send_signal SYS_pipe2 SYS_ppoll SYS_prctl SYS_pread64 SYS_preadv SYS_preadv2
    SYS_prlimit64 SYS_pselect6 SYS_pwrite64 SYS_pwritev SYS_pwritev2 SYS_read SYS_readahead
    SYS_readlinkat SYS_readv SYS_recvfrom SYS_recvmmsg SYS_recvmsg SYS_renameat2
    SYS_restart_syscall SYS_rseq SYS_rt_sigaction SYS_rt_sigpending SYS_rt_sigprocmask
    SYS_rt_sigqueueinfo SYS_rt_sigreturn SYS_rt_sigsuspend SYS_rt_sigtimedwait SYS_rt_tgsigqueueinfo
    SYS_sched_get_priority_max SYS_sched_get_priority_min SYS_sched_getaffinity
    SYS_sched_getattr SYS_sched_getparam SYS_sched_getscheduler SYS_sched_rr_get_interval
    SYS_sched_setaffinity SYS_sched_yield SYS_sendfile SYS_sendmmsg SYS_sendmsg SYS_sendto
    SYS_set_robust_list SYS_set_tid_address SYS_setitimer SYS_setpgid SYS_setrlimit SYS_setsid
    SYS_setsockopt SYS_shutdown SYS_sigaltstack SYS_splice SYS_statfs SYS_statx SYS_symlinkat
    SYS_sync_file_range SYS_sysinfo SYS_tee SYS_tgkill SYS_timer_create SYS_timer_delete
    SYS_timer_getoverrun SYS_timer_gettime SYS_timer_settime SYS_timerfd_create SYS_timerfd_gettime
    SYS_timerfd_settime SYS_times SYS_tkill SYS_truncate SYS_umask SYS_uname SYS_unlinkat SYS_utimensat
    SYS_wait4 SYS_waitid SYS_write SYS_writev
};

/// What only this architecture still has.
#[cfg(target_arch = "x86_64")]
const OLDER: &[c_long] = calls! {
    SYS_access SYS_alarm SYS_arch_prctl SYS_chmod SYS_chown SYS_creat SYS_dup2 SYS_epoll_create
    SYS_epoll_wait SYS_eventfd SYS_fork SYS_futimesat SYS_getdents SYS_getpgrp SYS_inotify_init
    SYS_lchown SYS_link SYS_lstat SYS_mkdir SYS_open SYS_pause SYS_pipe SYS_poll SYS_readlink
    SYS_rename SYS_renameat SYS_rmdir SYS_select SYS_stat SYS_symlink SYS_time SYS_unlink SYS_utime
    SYS_utimes SYS_vfork
};
#[cfg(not(target_arch = "x86_64"))]
const OLDER: &[c_long] = calls! { SYS_renameat };

/// What ends a process that tries it.
const DEADLY: &[c_long] = calls! {
    SYS_acct SYS_add_key SYS_bpf SYS_clock_settime SYS_delete_module SYS_finit_module SYS_fsconfig
    SYS_fsmount SYS_fsopen SYS_fspick SYS_init_module SYS_kexec_load SYS_keyctl SYS_mount
    SYS_mount_setattr SYS_move_mount SYS_open_by_handle_at SYS_open_tree SYS_perf_event_open
    SYS_pivot_root SYS_process_vm_readv SYS_process_vm_writev SYS_ptrace SYS_quotactl SYS_reboot
    SYS_request_key SYS_setdomainname SYS_sethostname SYS_setns SYS_settimeofday SYS_swapoff SYS_swapon
    SYS_syslog SYS_umount2 SYS_userfaultfd
};

/// Flags of `clone` that make a namespace. In one of its own a process would be root, and could mount and unmount
/// what the jail has arranged.
const NAMESPACES: u64 = (libc::CLONE_NEWNS
    | libc::CLONE_NEWCGROUP
    | libc::CLONE_NEWUTS
    | libc::CLONE_NEWIPC
    | libc::CLONE_NEWUSER
    | libc::CLONE_NEWPID
    | libc::CLONE_NEWNET) as u64;

/// Families of sockets: between its own processes, and those whose network is empty in here. Others reach
/// what no namespace keeps apart: the machine's hypervisor (vsock), its kernel's tables.
const FAMILIES: [libc::c_int; 3] = [libc::AF_UNIX, libc::AF_INET, libc::AF_INET6];

/// Puts the filters over this process and all that come of it.
pub(crate) fn filter() -> Result<(), seccompiler::Error> {
    // A filter of its own, because a filter has one answer for all that it names.
    let deadly = DEADLY.iter().map(|call| (*call, Vec::new())).collect();
    let missing = BTreeMap::from([(SYS_clone3, Vec::new())]);
    // The last one forbids to put on more.
    for (rules, others, these) in [
        (deadly, SeccompAction::Allow, SeccompAction::KillProcess),
        (missing, SeccompAction::Allow, errno(libc::ENOSYS)),
        (allowed()?, errno(libc::EPERM), SeccompAction::Allow),
    ] {
        apply_filter(&program(rules, others, these)?)?;
    }
    Ok(())
}

const fn errno(number: libc::c_int) -> SeccompAction {
    SeccompAction::Errno(number.unsigned_abs())
}

fn program(
    rules: BTreeMap<c_long, Vec<SeccompRule>>,
    others: SeccompAction,
    these: SeccompAction,
) -> Result<BpfProgram, BackendError> {
    let filter = SeccompFilter::new(rules, others, these, std::env::consts::ARCH.try_into()?)?;
    filter.try_into()
}

fn allowed() -> Result<BTreeMap<c_long, Vec<SeccompRule>>, BackendError> {
    let plain = ALLOWED.iter().chain(OLDER);
    let mut rules: BTreeMap<c_long, Vec<SeccompRule>> =
        plain.map(|call| (*call, Vec::new())).collect();
    // The one that is not there any more is answered by the filter before; here it passes.
    rules.insert(SYS_clone3, Vec::new());
    let no_namespace = SeccompCondition::new(
        0,
        // All 64 bits of the flags: what is compared in 32 could be passed in the others.
        SeccompCmpArgLen::Qword,
        SeccompCmpOp::MaskedEq(NAMESPACES),
        0,
    )?;
    rules.insert(SYS_clone, vec![SeccompRule::new(vec![no_namespace])?]);
    for call in [SYS_socket, SYS_socketpair] {
        let families = FAMILIES.iter().map(|family| {
            let family = u64::from(family.unsigned_abs());
            // 32 bits, because the kernel reads the family as an `int` and leaves the rest of the
            // register alone.
            let is = SeccompCondition::new(0, SeccompCmpArgLen::Dword, SeccompCmpOp::Eq, family)?;
            SeccompRule::new(vec![is])
        });
        rules.insert(call, families.collect::<Result<_, _>>()?);
    }
    Ok(rules)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_call_is_both_allowed_and_deadly() {
        for call in ALLOWED.iter().chain(OLDER) {
            assert!(!DEADLY.contains(call), "{call}");
        }
    }

    #[test]
    fn every_filter_compiles() {
        program(allowed().unwrap(), errno(libc::EPERM), SeccompAction::Allow).unwrap();
    }
}
