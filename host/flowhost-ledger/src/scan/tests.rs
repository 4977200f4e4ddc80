//! Tests of the small pure parts of scanning.

use super::*;

#[test]
fn prints_and_reads_ranges() {
    let numbers: BTreeSet<u64> = [1, 2, 3, 7, 9, 10].into();
    let items = ranges(&numbers);
    assert_eq!(items, ["1-3", "7", "9-10"]);
    assert_eq!(parse_ranges(&items), [(1, 3), (7, 7), (9, 10)]);
    assert_eq!(parse_ranges(&["x".into(), "01".into(), "1-".into()]), []);
}

#[test]
fn a_lost_sector_is_512_aligned_zeros() {
    let at = |offset: u64, bytes: &[u8], file_len: u64| {
        let line = Line {
            bytes,
            complete: true,
            offset,
            number: 1,
        };
        has_lost_sector(&line, u64::MAX, file_len)
    };
    let mut bytes = vec![b'x'; 2048];
    assert!(!at(100, &bytes, 9999));
    bytes[412..924].fill(0);
    assert!(at(100, &bytes, 9999), "the sector from 512 to 1024 is zero");
    assert!(!at(101, &bytes, 9999), "not aligned");
    bytes[500] = 1;
    assert!(!at(100, &bytes, 9999), "not all zero");
    assert!(
        at(0, &[0; 7], 7),
        "the last sector of the file may be short"
    );
    assert!(!at(0, &[0; 7], 600));
    let tail = |bytes: &[u8]| {
        has_lost_sector(
            &Line {
                bytes,
                complete: true,
                offset: 500,
                number: 1,
            },
            500,
            9999,
        )
    };
    assert!(
        tail(&[&[0; 12][..], b"x"].concat()),
        "the rest of the sector that was being written"
    );
    assert!(!tail(&[&[0; 11][..], b"x"].concat()));
}
