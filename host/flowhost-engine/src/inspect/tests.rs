//! Bad input, and what it is told.

use super::*;

fn wat(text: &str) -> Vec<u8> {
    wat::parse_str(text).unwrap()
}

fn refusal(bytes: &[u8]) -> String {
    inspect(bytes, &ShapeLimits::default())
        .unwrap_err()
        .to_string()
}

fn shape(bytes: &[u8]) -> &'static str {
    match inspect(bytes, &ShapeLimits::default()) {
        Err(InspectError::Shape { what, .. }) => what,
        other => panic!("{other:?}"),
    }
}

fn invalid(text: &str) -> String {
    match inspect(&wat(text), &ShapeLimits::default()) {
        Err(InspectError::Invalid { message, .. }) => message,
        other => panic!("{other:?}"),
    }
}

/// A component that exports an empty instance under each name.
fn exporting(names: &[&str]) -> String {
    let exports = names
        .iter()
        .map(|name| format!("(export \"{name}\" (instance $i))"));
    let exports = exports.collect::<String>();
    format!("(component (component $c) (instance $i (instantiate $c)) {exports})")
}

const TOOL: &str = "flowhost:roles/tool@0.1.0";

#[test]
fn text_core_modules_and_nothing_are_told_what_they_are() {
    assert!(refusal(b"(component)").contains("it is text"));
    assert!(refusal(b"").contains("it is empty"));
    assert!(refusal(b"\xff\xfe\x00\x01\x02\x03\x04\x05\x06").contains("does not begin like"));
    assert!(refusal(&wat("(module)")).contains("core module"));
    assert!(refusal(b"\0asm\x0d").contains("ends at byte 5"));
}

#[test]
fn a_component_cut_anywhere_is_refused() {
    let whole = wat(&exporting(&[TOOL]));
    assert!(inspect(&whole, &ShapeLimits::default()).is_ok());
    for end in 0..whole.len() {
        let cut = &whole[..end];
        // What lacks only its names (a custom section, id 0) is still a whole component.
        let whole_without_names = whole[end] == 0 && inspect(cut, &ShapeLimits::default()).is_ok();
        let refused = inspect(cut, &ShapeLimits::default()).is_err();
        assert!(refused || whole_without_names, "cut at {end}");
    }
}

#[test]
fn sup_010_precompiled_code_is_refused_whatever_it_is_called() {
    let engine = wasmtime::Engine::new(&crate::knobs::compiling()).unwrap();
    let code = engine
        .precompile_component(&wat(&exporting(&[TOOL])))
        .unwrap();
    let refused = inspect(&code, &ShapeLimits::default()).unwrap_err();
    assert_eq!(refused, InspectError::Precompiled);
    let module = engine.precompile_module(&wat("(module)")).unwrap();
    assert_eq!(
        inspect(&module, &ShapeLimits::default()),
        Err(InspectError::Precompiled)
    );
}

#[test]
fn a_component_takes_exactly_one_role() {
    assert!(refusal(&wat("(component)")).contains("takes no role: it exports nothing"));
    assert!(refusal(&wat(&exporting(&["other:world/run@1.0.0"]))).contains("other:world/run"));
    let two = [TOOL, "flowhost:roles/agent@0.1.0"];
    assert!(refusal(&wat(&exporting(&two))).contains("several roles (tool, agent)"));
    for kind in PluginKind::ALL {
        let interface = format!("{ROLES}/{}@{OURS}", kind.wit_name());
        let found = inspect(&wat(&exporting(&[&interface])), &ShapeLimits::default());
        assert_eq!(found.unwrap().role, kind);
    }
}

#[test]
fn plain_functions_make_a_tool_and_an_interface_of_ours_beside_them_does_not() {
    let lifted = r#"(core module $m (func (export "f"))) (core instance $i (instantiate $m))
        (func $f (canon lift (core func $i "f")))"#;
    let plain = format!(r#"(component {lifted} (export "f" (func $f)))"#);
    let found = inspect(&wat(&plain), &ShapeLimits::default()).unwrap();
    assert!(found.foreign);
    assert_eq!(found.role, PluginKind::Tool);
    let within = format!(
        r#"(component {lifted} (instance $e (export "f" (func $f))) (export "a:b/c@1.0.0" (instance $e)))"#
    );
    let found = inspect(&wat(&within), &ShapeLimits::default()).unwrap();
    assert!(found.foreign);
    let ours = format!(
        r#"(component {lifted} (export "f" (func $f)) (instance $e) (export "flowhost:roles/x@0.1.0" (instance $e)))"#
    );
    assert!(refusal(&wat(&ours)).contains("takes no role"));
    let tool = inspect(&wat(&exporting(&[TOOL])), &ShapeLimits::default()).unwrap();
    assert!(!tool.foreign);
}

#[test]
fn extra_exports_are_accepted() {
    let found = inspect(
        &wat(&exporting(&[TOOL, "init:x/y"])),
        &ShapeLimits::default(),
    )
    .unwrap();
    assert_eq!(found.exports, [TOOL, "init:x/y"]);
}

#[test]
fn a_role_from_a_newer_contract_says_so() {
    for newer in ["0.1.1", "0.2.0", "1.0.0"] {
        let bytes = wat(&exporting(&[&format!("flowhost:roles/tool@{newer}")]));
        let refused = refusal(&bytes);
        assert!(refused.contains("this host serves"), "{refused}");
        assert!(refused.contains("flowhost:roles/tool@0.1.0"), "{refused}");
    }
}

#[test]
fn imports_are_told_apart_by_what_they_need() {
    let text = format!(
        r#"(component
          (import "a:b/types@0.1.0" (instance (type $r' (record (field "x" string)))
            (export "r" (type (eq $r')))))
          (import "a:b/calls@0.2.3" (instance (export "f" (func)) (export "g" (func))))
          (import "a:b/things@0.1.0" (instance (export "thing" (type (sub resource)))))
          (component $c) (instance $i (instantiate $c))
          (export "{TOOL}" (instance $i)))"#
    );
    let found = inspect(&wat(&text), &ShapeLimits::default()).unwrap();
    let items = found
        .imports
        .iter()
        .map(|it| (it.name.interface.as_str(), it.items.len()));
    assert_eq!(
        items.collect::<Vec<_>>(),
        [("types", 0), ("calls", 2), ("things", 1)]
    );
    assert!(found.imports[0].types_only());
}

#[test]
fn a_core_module_cannot_be_imported() {
    let text = r#"(component (import "m" (core module)))"#;
    assert!(invalid(text).contains("core module"));
}

#[test]
fn dos_011_shared_memory_is_refused() {
    let text = "(component (core module (memory 1 2 shared)))";
    assert!(invalid(text).contains("THREADS"), "{}", invalid(text));
}

#[test]
fn dos_012_proposals_that_are_off_are_refused() {
    for (text, feature) in [
        ("(component (core module (memory i64 1)))", "MEMORY64"),
        (
            "(component (core module (memory 1) (memory 1)))",
            "MULTI_MEMORY",
        ),
        ("(component (core module (type (struct))))", "GC"),
        ("(component (core module (tag)))", "EXCEPTIONS"),
        (
            "(component (core module (type $f (func)) (type (cont $f))))",
            "STACK_SWITCHING",
        ),
        (
            "(component (core module (memory 1 (pagesize 1))))",
            "CUSTOM_PAGE_SIZES",
        ),
        (
            "(component (core module (func (param externref))))",
            "GC_TYPES",
        ),
        ("(component (type (future)))", "CM_ASYNC"),
        ("(component (type (stream)))", "CM_ASYNC"),
        ("(component (core func (canon task.cancel)))", "CM_ASYNC"),
    ] {
        let refused = refusal(&wat(text));
        assert!(
            refused.contains("not a valid component"),
            "{feature}: {refused}"
        );
    }
}

#[test]
fn dos_013_components_inside_components_are_bounded() {
    let many = format!("(component {})", "(component)".repeat(1_001));
    assert_eq!(shape(&wat(&many)), "modules");
    let deep = format!("{}{}", "(component ".repeat(50), ")".repeat(50));
    assert_eq!(shape(&wat(&deep)), "nesting");
    let instances = format!(
        "(component (component $c) {})",
        "(instance (instantiate $c))".repeat(1_000)
    );
    assert_eq!(shape(&wat(&instances)), "instances");
}

#[test]
fn dos_013_types_inside_types_do_not_reach_the_stack() {
    let depth = 200_000_usize;
    let mut body = vec![0x01];
    for _ in 0..depth {
        body.extend([0x41, 0x01, 0x01]);
    }
    body.extend([0x41, 0x00]);
    let mut bytes = b"\0asm\x0d\0\x01\0".to_vec();
    section(&mut bytes, 7, &body);
    assert_eq!(shape(&bytes), "type_nesting");
}

#[test]
fn dos_040_huge_sections_names_and_lists_are_refused() {
    let limits = ShapeLimits {
        bytes: 128 << 20,
        ..ShapeLimits::default()
    };
    let mut custom = b"\0asm\x0d\0\x01\0".to_vec();
    let mut body = vec![1, b'x'];
    body.resize(33 << 20, 0);
    section(&mut custom, 0, &body);
    let refused = inspect(&custom, &limits).unwrap_err();
    assert!(
        matches!(
            refused,
            InspectError::Shape {
                what: "custom_bytes",
                ..
            }
        ),
        "{refused}"
    );
    assert_eq!(shape(&vec![0; 65 << 20]), "bytes");

    let exports = (0..60_000)
        .map(|n| format!("(export \"e{n}\" (func 0))"))
        .collect::<String>();
    assert_eq!(
        shape(&wat(&format!("(component (core module (func) {exports}))"))),
        "exports"
    );
    let name = "n".repeat(5_000);
    let long = format!("(component (core module (func (export \"{name}\"))))");
    assert_eq!(shape(&wat(&long)), "name_bytes");
}

#[test]
fn the_manifest_is_found_once_and_bounded() {
    let with = |sections: &[&[u8]]| {
        let mut bytes = wat(&exporting(&[TOOL]));
        for data in sections {
            let mut body = vec![MANIFEST_SECTION.len() as u8];
            body.extend(MANIFEST_SECTION.as_bytes());
            body.extend(*data);
            section(&mut bytes, 0, &body);
        }
        bytes
    };
    let found = inspect(&with(&[b"version = 1"]), &ShapeLimits::default()).unwrap();
    assert_eq!(found.manifest.as_deref(), Some(&b"version = 1"[..]));
    let two = inspect(&with(&[b"a", b"b"]), &ShapeLimits::default());
    assert_eq!(two, Err(InspectError::SeveralManifests));
    assert_eq!(shape(&with(&[&[0; 70_000]])), "manifest_bytes");
}

#[test]
fn the_digest_is_of_the_bytes() {
    let bytes = wat(&exporting(&[TOOL]));
    let found = inspect(&bytes, &ShapeLimits::default()).unwrap();
    assert_eq!(*found.digest, *digest(&bytes));
    assert!(found.digest.starts_with("sha256:") && found.digest.len() == 71);
}

fn section(out: &mut Vec<u8>, id: u8, body: &[u8]) {
    out.push(id);
    let mut length = body.len();
    while length >= 0x80 {
        out.push((length & 0x7f) as u8 | 0x80);
        length >>= 7;
    }
    out.push(length as u8);
    out.extend(body);
}
