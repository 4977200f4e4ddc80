//! Known answers of RFC 6962, and all proofs of all small trees.

use super::*;

fn leaves(count: u8) -> Vec<Hash> {
    (0..count).map(|byte| leaf_hash(&[byte])).collect()
}

fn root(leaves: &[Hash]) -> Hash {
    let mut tree = Tree::default();
    for leaf in leaves {
        tree.push(*leaf);
    }
    tree.root()
}

#[test]
fn known_answers_of_rfc_6962() {
    let hex = hex::encode::<Hash>;
    let empty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
    assert_eq!(hex(Tree::default().root()), empty);
    let leaf = "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d";
    assert_eq!(hex(leaf_hash(b"")), leaf);
    for (count, expected) in [
        (
            1,
            "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7",
        ),
        (
            2,
            "a20bf9a7cc2dc8a08f5f415a71b19f6ac427bab54d24eec868b5d3103449953a",
        ),
        (
            3,
            "3b6cccd7e3e023ff393006f030315ee7ad9eb111b022b41fba7e5b7a3973f688",
        ),
        (
            5,
            "b855b42d6c30f5b087e05266783fbd6e394f7b926013ccaa67700a8b0c5a596f",
        ),
        (
            8,
            "ef7f49b620f6c7ea9b963a214da34b5021c6ded8ed57734380a311ab726aa907",
        ),
    ] {
        assert_eq!(hex(root(&leaves(count))), expected, "{count} leaves");
    }
}

/// The definition of RFC 6962 §2.1, written down as it stands there.
fn by_definition(leaves: &[Hash]) -> Hash {
    match leaves {
        [] => empty_root(),
        [leaf] => *leaf,
        _ => {
            let split = (leaves.len().next_power_of_two()) / 2;
            let (left, right) = leaves.split_at(split);
            node_hash(&by_definition(left), &by_definition(right))
        }
    }
}

#[test]
fn the_growing_tree_is_the_tree_by_definition() {
    for count in 0..=64 {
        let leaves = leaves(count);
        assert_eq!(root(&leaves), by_definition(&leaves), "{count} leaves");
    }
}

#[test]
fn a_tree_of_leaves_that_were_joined_in_pieces_is_the_tree() {
    let leaves = leaves(64);
    // Pieces begin anywhere, and their joins know nothing of what lies before.
    for piece in 1..=leaves.len() {
        for first in 0..piece {
            let (mut joins, mut tree, mut plain) =
                (Joins::default(), Tree::default(), Tree::default());
            for (index, leaf) in (0_u64..).zip(&leaves) {
                if index as usize % piece == first {
                    joins = Joins::default();
                }
                tree.close(&joins.take(index, *leaf));
                plain.push(*leaf);
                assert_eq!(tree, plain, "leaf {index}, pieces of {piece} from {first}");
            }
        }
    }
}

#[test]
fn a_gap_in_the_numbers_joins_nothing() {
    let leaf = leaf_hash(b"");
    let mut joins = Joins::default();
    joins.take(2, leaf);
    assert_eq!(joins.take(5, leaf).height, 0, "4 is missing");
    assert_eq!(joins.take(6, leaf).height, 0);
    assert_eq!(joins.take(7, leaf).height, 1, "4 and 5 are not whole");
}

#[test]
fn led_026_an_inclusion_proof_fits_one_leaf_one_index_and_one_root() {
    for count in 1..=64_u8 {
        let leaves = leaves(count);
        let size = u64::from(count);
        let root = root(&leaves);
        assert_eq!(inclusion_proof(&leaves, size), None);
        for index in 0..size {
            let path = inclusion_proof(&leaves, index).unwrap();
            let leaf = leaves[usize::try_from(index).unwrap()];
            assert_eq!(root_from_inclusion(index, size, leaf, &path), Some(root));
            for other in (0..=size).filter(|other| *other != index) {
                assert_ne!(root_from_inclusion(other, size, leaf, &path), Some(root));
            }
            assert_ne!(
                root_from_inclusion(index, size, leaf_hash(b"x"), &path),
                Some(root)
            );
            for swapped in 1..path.len() {
                let mut path = path.clone();
                path.swap(swapped - 1, swapped);
                assert_ne!(root_from_inclusion(index, size, leaf, &path), Some(root));
            }
            let mut longer = path.clone();
            longer.push(root);
            assert_eq!(root_from_inclusion(index, size, leaf, &longer), None);
            if let Some((_, shorter)) = path.split_last() {
                assert_eq!(root_from_inclusion(index, size, leaf, shorter), None);
            }
        }
    }
}

#[test]
fn led_027_a_consistency_proof_fits_two_sizes_and_two_roots() {
    for count in 1..=64_u8 {
        let leaves = leaves(count);
        let (new, new_root) = (u64::from(count), root(&leaves));
        assert_eq!(consistency_proof(&leaves, 0), None);
        assert_eq!(consistency_proof(&leaves, new + 1), None);
        for old in 1..=new {
            let old_root = root(&leaves[..usize::try_from(old).unwrap()]);
            let path = consistency_proof(&leaves, old).unwrap();
            assert!(verify_consistency(old, new, &old_root, &new_root, &path));
            assert!(!verify_consistency(
                old,
                new,
                &leaf_hash(b"x"),
                &new_root,
                &path
            ));
            assert!(!verify_consistency(
                old,
                new,
                &old_root,
                &leaf_hash(b"x"),
                &path
            ));
            for other in (0..=new + 1).filter(|other| *other != old) {
                let fits = verify_consistency(other, new, &old_root, &new_root, &path);
                assert!(!fits, "{old} and {other} of {new}");
            }
            for forged in 0..path.len() {
                let mut path = path.clone();
                path[forged] = leaf_hash(b"forged");
                assert!(!verify_consistency(old, new, &old_root, &new_root, &path));
            }
            let mut longer = path.clone();
            longer.push(new_root);
            assert!(!verify_consistency(old, new, &old_root, &new_root, &longer));
        }
    }
}
