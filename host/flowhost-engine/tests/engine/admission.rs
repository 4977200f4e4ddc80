//! How a component gets in: compiled in a child, kept in a cache that vouches for itself.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;

use flowhost_engine::{
    CacheConfig, CompileError, Compiler, Engine, EngineConfig, LoadError, Origin,
};

use crate::support::{Guest, call, calling, compile_child, config, effective, limits};

fn cached(dir: &Path, key: u8) -> Engine {
    let cache = Some(CacheConfig {
        dir: dir.to_owned(),
        key: [key; 32],
        program: "test".to_owned(),
    });
    Engine::new(EngineConfig {
        cache,
        ..config(Vec::new())
    })
    .unwrap()
}

async fn origin(dir: &Path, key: u8) -> Origin {
    cached(dir, key)
        .load(Guest::default().bytes())
        .await
        .unwrap()
        .origin()
}

fn entry(dir: &Path) -> std::path::PathBuf {
    #[expect(
        clippy::disallowed_methods,
        reason = "the test looks at its own folder"
    )]
    let entries = fs::read_dir(dir).unwrap();
    let mut paths = entries.map(|entry| entry.unwrap().path());
    let is_code = |path: &std::path::PathBuf| path.extension().is_some_and(|it| it == "cwasm");
    paths.find(is_code).unwrap()
}

#[tokio::test]
async fn compiled_code_is_found_again_and_runs() {
    let dir = tempfile::tempdir().unwrap();
    let cache = dir.path().join("what/is/missing/code");
    assert_eq!(origin(&cache, 1).await, Origin::Compiled);
    assert_eq!(origin(&cache, 1).await, Origin::Cache);
    let engine = cached(&cache, 1);
    let loaded = engine.load(Guest::default().bytes()).await.unwrap();
    let plugin = engine.prepare(&loaded, effective(limits())).unwrap();
    assert!(call(&plugin).await.result.is_ok());
}

#[tokio::test]
async fn an_engine_at_rest_holds_no_page_of_a_guest_and_disturbs_none_that_is_called() {
    let dir = tempfile::tempdir().unwrap();
    let engine = cached(dir.path(), 1);
    let loaded = engine.load(Guest::default().bytes()).await.unwrap();
    let plugin = engine.prepare(&loaded, effective(limits())).unwrap();
    assert!(call(&plugin).await.result.is_ok());
    assert!(engine.idle_bytes() > 0, "pages are kept for the next guest");
    engine.rest().unwrap();
    assert_eq!(engine.idle_bytes(), 0);
    // Of a component that is still in use nothing has changed, nor of what is made of it from now on.
    assert!(call(&plugin).await.result.is_ok());
    let again = engine.load(Guest::default().bytes()).await.unwrap();
    let plugin_again = engine.prepare(&again, effective(limits())).unwrap();
    assert!(call(&plugin_again).await.result.is_ok());
    assert_eq!(engine.idle_bytes(), 0, "both are of the pool before");
    drop((loaded, plugin, again, plugin_again));
    engine.rest().unwrap();
    let anew = engine.load(Guest::default().bytes()).await.unwrap();
    assert_eq!(anew.origin(), Origin::Cache);
    let plugin = engine.prepare(&anew, effective(limits())).unwrap();
    assert!(call(&plugin).await.result.is_ok());
    assert!(engine.idle_bytes() > 0, "it is of the new pool");
}

#[tokio::test]
#[expect(
    clippy::disallowed_methods,
    reason = "the test tampers with its own folder"
)]
async fn sup_011_a_cache_entry_with_any_byte_changed_is_compiled_again() {
    let dir = tempfile::tempdir().unwrap();
    assert_eq!(origin(dir.path(), 1).await, Origin::Compiled);
    let path = entry(dir.path());
    let good = fs::read(&path).unwrap();
    for at in [0, 31, 32, good.len() / 2, good.len() - 1] {
        let mut bad = good.clone();
        bad[at] ^= 1;
        fs::write(&path, &bad).unwrap();
        assert_eq!(origin(dir.path(), 1).await, Origin::Compiled, "byte {at}");
        assert_eq!(
            origin(dir.path(), 1).await,
            Origin::Cache,
            "it was written anew"
        );
    }
    for bad in [&good[..20], &good[..good.len() / 2], &[]] {
        fs::write(&path, bad).unwrap();
        assert_eq!(origin(dir.path(), 1).await, Origin::Compiled);
    }
}

#[tokio::test]
#[expect(
    clippy::disallowed_methods,
    reason = "the test tampers with its own folder"
)]
async fn sup_011_code_under_another_key_or_of_another_component_is_compiled_again() {
    let dir = tempfile::tempdir().unwrap();
    assert_eq!(origin(dir.path(), 1).await, Origin::Compiled);
    assert_eq!(origin(dir.path(), 2).await, Origin::Compiled);
    let first = fs::read(entry(dir.path())).unwrap();
    fs::remove_file(entry(dir.path())).unwrap();
    let other = calling("(i32.const 20)").bytes();
    cached(dir.path(), 2).load(other.clone()).await.unwrap();
    fs::write(entry(dir.path()), first).unwrap();
    let again = cached(dir.path(), 2).load(other).await.unwrap();
    assert_eq!(again.origin(), Origin::Compiled);
}

#[tokio::test]
async fn sup_011_a_directory_that_others_can_write_to_is_not_used() {
    let dir = tempfile::tempdir().unwrap();
    for mode in [0o777, 0o770, 0o702] {
        fs::set_permissions(dir.path(), fs::Permissions::from_mode(mode)).unwrap();
        assert_eq!(origin(dir.path(), 1).await, Origin::Compiled, "{mode:o}");
        assert_eq!(origin(dir.path(), 1).await, Origin::Compiled, "{mode:o}");
        let problem = cached(dir.path(), 1);
        assert!(
            problem
                .cache_problem()
                .unwrap()
                .to_string()
                .contains("written by others")
        );
    }
    fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o700)).unwrap();
    assert!(cached(dir.path(), 1).cache_problem().is_none());
}

#[tokio::test]
async fn the_same_component_is_compiled_once_however_many_want_it() {
    let engine = Engine::new(config(Vec::new())).unwrap();
    let bytes = Guest::default().bytes();
    let loads = futures::future::join_all((0..20).map(|_| engine.load(bytes.clone()))).await;
    let first = loads[0].as_ref().unwrap().digest();
    for load in &loads {
        assert!(Arc::ptr_eq(&load.as_ref().unwrap().digest(), &first));
    }
}

fn with_child(program: std::path::PathBuf) -> Engine {
    let compiler = Compiler::Child { program };
    Engine::new(EngineConfig {
        compiler,
        ..config(Vec::new())
    })
    .unwrap()
}

#[tokio::test]
async fn a_component_compiled_in_the_child_runs() {
    let engine = with_child(compile_child());
    let loaded = engine.load(Guest::default().bytes()).await.unwrap();
    let plugin = engine.prepare(&loaded, effective(limits())).unwrap();
    assert!(call(&plugin).await.result.is_ok());
}

#[tokio::test]
async fn dos_042_many_components_compile_a_few_at_a_time() {
    let engine = with_child(compile_child());
    let loads = (0..24).map(|n| {
        let guest = calling(&format!("(drop (i32.const {n})) (i32.const 16)"));
        let engine = engine.clone();
        async move { engine.load(guest.bytes()).await }
    });
    let loads = futures::future::join_all(loads).await;
    assert!(loads.iter().all(Result::is_ok));
}

#[tokio::test]
async fn code_that_does_not_validate_is_refused_by_the_child() {
    let engine = with_child(compile_child());
    let fields = "(func (result i32) (i64.const 1))".to_owned();
    let guest = Guest {
        fields,
        ..Guest::default()
    };
    let Err(LoadError::Compile(CompileError::Refused { message })) =
        engine.load(guest.bytes()).await
    else {
        panic!("invalid code was loaded");
    };
    assert!(message.contains("type mismatch"), "{message}");
}

#[tokio::test]
async fn a_child_that_cannot_start_or_only_talks_is_a_typed_error() {
    let missing = with_child("/nonexistent/flowhost".into())
        .load(Guest::default().bytes())
        .await;
    assert!(
        matches!(missing, Err(LoadError::Compile(CompileError::Child(_)))),
        "{missing:?}"
    );
    let silent = with_child("/bin/true".into())
        .load(Guest::default().bytes())
        .await;
    assert!(matches!(silent, Err(LoadError::Load(_))), "{silent:?}");
    let failing = with_child("/bin/false".into())
        .load(Guest::default().bytes())
        .await;
    assert!(
        matches!(
            failing,
            Err(LoadError::Compile(CompileError::Stopped { .. }))
        ),
        "{failing:?}"
    );
}

#[tokio::test]
#[expect(
    clippy::disallowed_methods,
    reason = "the test tampers with its own folder"
)]
async fn a_component_whose_compilation_was_stopped_is_not_compiled_again_until_the_file_goes() {
    let dir = tempfile::tempdir().unwrap();
    let load = |compiler| async {
        let cache = Some(CacheConfig {
            dir: dir.path().to_owned(),
            key: [1; 32],
            program: "test".to_owned(),
        });
        let engine = Engine::new(EngineConfig {
            cache,
            compiler,
            ..config(Vec::new())
        });
        engine.unwrap().load(Guest::default().bytes()).await
    };
    let child = |program: &str| Compiler::Child {
        program: program.into(),
    };
    assert!(load(child("/nonexistent/flowhost")).await.is_err());
    assert!(load(child("/bin/false")).await.is_err());
    // What could be compiled now is not tried: the same bytes were stopped before.
    let Err(LoadError::Compile(CompileError::Stopped { what })) = load(Compiler::InProcess).await
    else {
        panic!("it was compiled again");
    };
    let kept = entry(dir.path());
    assert!(
        what.contains(&format!("delete `{}`", kept.display())),
        "{what}"
    );
    fs::remove_file(kept).unwrap();
    let loaded = load(Compiler::InProcess).await.unwrap();
    assert_eq!(loaded.origin(), Origin::Compiled);
}

#[tokio::test]
#[expect(
    clippy::disallowed_methods,
    reason = "the test writes a program that looks around"
)]
async fn ops_005_the_child_inherits_two_pipes_and_no_environment() {
    let dir = tempfile::tempdir().unwrap();
    let program = dir.path().join("look");
    let report = dir.path().join("report");
    // A shell opens its script as one more descriptor; everything else it lists was inherited.
    let script = format!(
        "#!/bin/sh\nls -l /proc/$$/fd > {0}\nenv >> {0}\necho \"pwd=$(pwd)\" >> {0}\nexit 1\n",
        report.display()
    );
    fs::write(&program, script).unwrap();
    fs::set_permissions(&program, fs::Permissions::from_mode(0o700)).unwrap();
    let secret = fs::File::open(&program).unwrap();
    let loaded = with_child(program).load(Guest::default().bytes()).await;
    assert!(
        matches!(
            loaded,
            Err(LoadError::Compile(CompileError::Stopped { .. }))
        ),
        "{loaded:?}"
    );
    drop(secret);
    let seen = fs::read_to_string(report).unwrap();
    let fds = seen.lines().filter(|line| line.contains(" -> "));
    for fd in fds {
        let expected = ["pipe:", "/dev/null", "look", "report"]
            .iter()
            .any(|it| fd.contains(it));
        assert!(expected, "the child holds {fd}");
    }
    assert!(
        seen.contains("RAYON_NUM_THREADS=4") && !seen.contains("HOME="),
        "{seen}"
    );
    assert!(seen.contains("pwd=/\n"), "{seen}");
}
