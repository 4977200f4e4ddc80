//! Guest paths: absolute, `/` between segments.

/// Segments of an absolute path; `None` if it is relative, climbs, or holds what no path of
/// ours holds. Empty and `.` segments are skipped, as every kernel does.
pub(crate) fn segments(path: &str) -> Option<impl Iterator<Item = &str> + Clone> {
    let inside = path.strip_prefix('/')?;
    // `PATH_MAX` of Linux, which takes no longer path in one call.
    let plain = path.len() <= 4096 && !path.contains(['\\', '\0']);
    let climbs = inside.split('/').any(|segment| segment == "..");
    (plain && !climbs).then(|| {
        inside
            .split('/')
            .filter(|segment| !matches!(*segment, "" | "."))
    })
}

/// How many segments `guest` has if `path` is it or lies below it.
pub(crate) fn below(guest: &str, path: &str) -> Option<usize> {
    let mut wanted = segments(path)?;
    let mut depth = 0;
    for segment in segments(guest)? {
        if wanted.next() != Some(segment) {
            return None;
        }
        depth += 1;
    }
    Some(depth)
}

/// Whether `text` is how a grant writes a guest path: `/docs`, `/`, no trailing slash.
pub(crate) fn is_canonical(text: &str) -> bool {
    let printable = !text.chars().any(|c| c.is_control());
    printable
        && segments(text).is_some_and(|segments| {
            let joined: String = segments.flat_map(|segment| ["/", segment]).collect();
            joined == text || (text == "/" && joined.is_empty())
        })
}
