//! Who holds a lock, as the system says it. Reads nothing by itself.

/// The process that holds the `flock` of the file with this inode, as `/proc/locks` has it; none where
/// more than one could be meant.
#[must_use]
pub fn holder(locks: &str, inode: u64) -> Option<u32> {
    let mut found = locks.lines().filter_map(|line| {
        let words: Vec<&str> = line.split_whitespace().collect();
        let &[_, "FLOCK", _, "WRITE", process, place, ..] = words.as_slice() else {
            return None;
        };
        let (_, number) = place.rsplit_once(':')?;
        (number.parse() == Ok(inode)).then(|| process.parse().ok())?
    });
    let first = found.next()?;
    // The device is left out: `/proc/locks` writes it otherwise than `stat` does on some file systems, and two locks
    // of one number are not told apart. A holder of another process namespace has the number 0.
    (found.next().is_none() && first > 0).then_some(first)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lock_names_its_process_where_only_one_can_be_meant() {
        let lock = |process: u32, kind: &str, inode: u64| {
            format!("1: {kind}  ADVISORY  WRITE {process} 08:01:{inode} 0 EOF\n")
        };
        let locks = lock(41, "POSIX", 7) + &lock(42, "FLOCK", 7) + &lock(43, "FLOCK", 8);
        assert_eq!(holder(&locks, 7), Some(42));
        assert_eq!(holder(&locks, 9), None);
        assert_eq!(holder(&(locks + &lock(44, "FLOCK", 7)), 7), None);
        assert_eq!(holder("nonsense", 7), None);
    }
}
