//! `wasi:filesystem`, called as the linker calls it.

use wasmtime::component::Resource;
use wasmtime_wasi::{
    filesystem::Descriptor,
    p2::{
        DynInputStream, DynOutputStream, FsResult,
        bindings::filesystem::{
            preopens::Host as _,
            types::{
                Advice, DescriptorFlags, ErrorCode, HostDescriptor, HostDirectoryEntryStream,
                NewTimestamp, PathFlags,
            },
        },
    },
};

pub(super) use wasmtime_wasi::p2::bindings::filesystem::types::OpenFlags;

use super::*;
use crate::files::wasi::View;

pub(super) type Fd = Resource<Descriptor>;

pub(super) const READ: DescriptorFlags = DescriptorFlags::READ;
pub(super) const WRITE: DescriptorFlags = DescriptorFlags::WRITE;

fn code<T>(result: FsResult<T>) -> ErrorCode {
    match result {
        Ok(_) => panic!("it was allowed"),
        Err(error) => error.downcast().unwrap(),
    }
}

impl Call {
    fn view(&mut self) -> View<'_> {
        View(&mut self.state)
    }

    pub(super) fn preopen(&mut self, guest: &str) -> Fd {
        let all = self.view().get_directories().unwrap();
        all.into_iter().find(|(_, path)| path == guest).unwrap().0
    }

    pub(super) async fn open(
        &mut self,
        at: &Fd,
        path: &str,
        open: OpenFlags,
        flags: DescriptorFlags,
    ) -> FsResult<Fd> {
        let at = Resource::new_borrow(at.rep());
        self.view()
            .open_at(at, PathFlags::SYMLINK_FOLLOW, path.to_owned(), open, flags)
            .await
    }
}

impl Call {
    fn close(&mut self, fd: Fd) {
        HostDescriptor::drop(&mut self.view(), fd).unwrap();
    }

    pub(super) async fn rename(&mut self, at: &Fd, from: &str, to: &str) -> FsResult<()> {
        self.rename_into(at, from, at, to).await
    }

    pub(super) async fn rename_into(
        &mut self,
        at: &Fd,
        from: &str,
        there: &Fd,
        to: &str,
    ) -> FsResult<()> {
        let (at, there) = (again(at), again(there));
        self.view()
            .rename_at(at, from.to_owned(), there, to.to_owned())
            .await
    }

    pub(super) async fn symlink(&mut self, at: &Fd, target: &str, path: &str) -> FsResult<()> {
        let at = again(at);
        self.view()
            .symlink_at(at, target.to_owned(), path.to_owned())
            .await
    }

    pub(super) async fn open_folder(&mut self, at: &Fd, path: &str) -> Fd {
        let flags = READ | DescriptorFlags::MUTATE_DIRECTORY;
        let opened = self.open(at, path, OpenFlags::DIRECTORY, flags).await;
        opened.unwrap()
    }

    /// The names in a directory, in the order of the disk.
    pub(super) async fn names(&mut self, at: &Fd) -> Vec<String> {
        let stream = self.view().read_directory(again(at)).await.unwrap();
        let mut names = Vec::new();
        loop {
            let stream = Resource::new_borrow(stream.rep());
            match self.view().read_directory_entry(stream).await.unwrap() {
                Some(entry) => names.push(entry.name),
                None => return names,
            }
        }
    }
}

fn again(fd: &Fd) -> Fd {
    Resource::new_borrow(fd.rep())
}

#[tokio::test]
async fn without_a_grant_there_are_no_preopens() {
    let tree = Tree::new();
    let mut call = tree.call(Vec::new());
    assert!(call.view().get_directories().unwrap().is_empty());
}

#[tokio::test]
async fn fs_001_and_002_paths_that_leave_are_not_permitted() {
    let tree = Tree::new();
    let mut call = tree.usual();
    let docs = call.preopen("/docs");
    for path in [
        "../secret",
        "sub/../../secret",
        "a/b/../../../x",
        "/etc/passwd",
        "//etc/passwd",
        "C:\\x",
        "..",
    ] {
        let result = call.open(&docs, path, OpenFlags::empty(), READ).await;
        assert_eq!(code(result), ErrorCode::NotPermitted, "{path}");
        assert_eq!(call.last().0, "deny", "{path}");
        let stat = call
            .view()
            .stat_at(again(&docs), PathFlags::empty(), path.to_owned())
            .await;
        assert_eq!(code(stat), ErrorCode::NotPermitted, "{path}");
    }
}

#[tokio::test]
async fn fs_014_a_read_grant_opens_nothing_for_writing() {
    let tree = Tree::new();
    let mut call = tree.usual();
    let docs = call.preopen("/docs");
    for (open, flags) in [
        (OpenFlags::TRUNCATE, READ),
        (OpenFlags::CREATE, READ),
        (OpenFlags::CREATE | OpenFlags::EXCLUSIVE, READ),
        (OpenFlags::empty(), WRITE),
        (OpenFlags::empty(), READ | WRITE),
        (OpenFlags::CREATE | OpenFlags::TRUNCATE, READ | WRITE),
        (
            OpenFlags::DIRECTORY,
            READ | DescriptorFlags::MUTATE_DIRECTORY,
        ),
    ] {
        for path in ["a.md", "new.md"] {
            let result = call.open(&docs, path, open, flags).await;
            assert_eq!(
                code(result),
                ErrorCode::NotPermitted,
                "{open:?} {flags:?} {path}"
            );
        }
    }
    assert_eq!(tree.dir.read("docs/a.md").unwrap(), b"alpha");
    assert!(!tree.dir.exists("docs/new.md"));
}

#[tokio::test]
async fn fs_015_a_read_grant_refuses_every_verb_that_changes() {
    let tree = Tree::new();
    let mut call = tree.usual();
    let docs = call.preopen("/docs");
    let file = call
        .open(&docs, "a.md", OpenFlags::empty(), READ)
        .await
        .unwrap();
    let (d, f) = (|| again(&docs), || again(&file));
    let now = || NewTimestamp::Now;
    let none = PathFlags::empty();
    let path = |text: &str| text.to_owned();
    let results = [
        call.view().create_directory_at(d(), path("n")).await,
        call.view().remove_directory_at(d(), path("sub")).await,
        call.view().unlink_file_at(d(), path("a.md")).await,
        call.view().symlink_at(d(), path("a.md"), path("l")).await,
        call.view()
            .link_at(d(), none, path("a.md"), d(), path("h"))
            .await,
        call.view()
            .rename_at(d(), path("a.md"), d(), path("b.md"))
            .await,
        call.view()
            .set_times_at(d(), none, path("a.md"), now(), now())
            .await,
        call.view().set_times(f(), now(), now()).await,
        call.view().set_size(f(), 0).await,
        call.view().write(f(), b"x".to_vec(), 0).await.map(|_| ()),
        call.view().write_via_stream(f(), 0).map(|_| ()),
        call.view().append_via_stream(f()).map(|_| ()),
        call.view().advise(f(), 0, 1, Advice::Normal).await,
    ];
    for (index, result) in results.into_iter().enumerate() {
        assert_eq!(code(result), ErrorCode::NotPermitted, "verb {index}");
    }
    assert_eq!(tree.dir.read("docs/a.md").unwrap(), b"alpha");
    assert_eq!(call.list("/docs").await.unwrap(), ["a.md", "sub"]);
    let flags = call.view().get_flags(f()).await.unwrap();
    assert_eq!(flags, READ);
}

#[tokio::test]
async fn fs_013_a_read_only_file_is_not_moved_into_a_writable_folder() {
    let tree = Tree::new();
    tree.dir.write("out/f", "x").unwrap();
    let mut call = tree.usual();
    let (docs, out) = (call.preopen("/docs"), call.preopen("/out"));
    let (from, to) = ("a.md".to_owned(), "a.md".to_owned());
    let moved = call
        .view()
        .rename_at(again(&docs), from, again(&out), to)
        .await;
    assert_eq!(code(moved), ErrorCode::NotPermitted);
    let (from, to) = ("f".to_owned(), "f".to_owned());
    let moved = call
        .view()
        .rename_at(again(&out), from, again(&docs), to)
        .await;
    assert_eq!(code(moved), ErrorCode::NotPermitted);
    assert!(tree.dir.exists("docs/a.md") && !tree.dir.exists("docs/f"));
}

#[tokio::test]
async fn two_writable_folders_are_two_devices() {
    let tree = Tree::new();
    tree.dir.write("out/f", "x").unwrap();
    let grants = vec![
        grant("/out", "out", Access::Write),
        grant("/two", "two", Access::Write),
    ];
    let mut call = tree.call(grants);
    let (out, two) = (call.preopen("/out"), call.preopen("/two"));
    let moved = call
        .view()
        .rename_at(again(&out), "f".to_owned(), again(&two), "f".to_owned())
        .await;
    assert_eq!(code(moved), ErrorCode::CrossDevice);
    let linked = call
        .view()
        .link_at(
            again(&out),
            PathFlags::empty(),
            "f".to_owned(),
            again(&two),
            "f".to_owned(),
        )
        .await;
    assert_eq!(code(linked), ErrorCode::CrossDevice);
}

#[tokio::test]
async fn fs_005_a_link_to_an_absolute_or_climbing_target_is_not_made() {
    let tree = Tree::new();
    let mut call = tree.usual();
    let out = call.preopen("/out");
    for target in ["/etc/passwd", "..", "../secret", "a/../../b", ""] {
        let made = call
            .view()
            .symlink_at(again(&out), target.to_owned(), "l".to_owned())
            .await;
        assert_eq!(code(made), ErrorCode::NotPermitted, "{target}");
    }
    call.view()
        .symlink_at(again(&out), "f".to_owned(), "l".to_owned())
        .await
        .unwrap();
    let read = call
        .view()
        .readlink_at(again(&out), "l".to_owned())
        .await
        .unwrap();
    assert_eq!(read, "f");
}

#[tokio::test]
async fn a_path_of_another_grant_is_not_reached_through_this_one() {
    let tree = Tree::new();
    let grants = vec![
        grant("/docs", "docs", Access::Read),
        grant("/docs/sub", "out", Access::Write),
    ];
    let mut call = tree.call(grants);
    let docs = call.preopen("/docs");
    for (flags, open) in [(READ, OpenFlags::empty()), (WRITE, OpenFlags::CREATE)] {
        let result = call.open(&docs, "sub/b.md", open, flags).await;
        assert_eq!(code(result), ErrorCode::NotPermitted);
        assert_eq!(call.last().1, "files[1].guest");
    }
}

#[tokio::test]
async fn fs_019_streams_are_counted_and_end_at_the_quota() {
    let tree = Tree::new();
    let mut call = tree.usual();
    let out = call.preopen("/out");
    let file = call
        .open(&out, "f", OpenFlags::CREATE, WRITE)
        .await
        .unwrap();
    let stream = call.view().append_via_stream(again(&file)).unwrap();
    let records = call.records();
    let mut written = 0_u64;
    let failed = loop {
        let table = call.state.parts::<crate::files::FilesState>().table;
        let writer: &mut DynOutputStream = table.get_mut(&stream).unwrap();
        match writer
            .blocking_write_and_flush(vec![b'x'; 1_000].into())
            .await
        {
            Ok(()) => written += 1_000,
            Err(error) => break error,
        }
    };
    assert_eq!(written, 10_000);
    let wasmtime_wasi::p2::StreamError::LastOperationFailed(error) = failed else {
        panic!("{failed:?}")
    };
    assert_eq!(error.downcast_ref::<ErrorCode>(), Some(&ErrorCode::Quota));
    assert_eq!(tree.dir.metadata("out/f").unwrap().len(), 10_000);
    assert_eq!(call.records(), records, "chunks are not records");
    let over = call.view().set_size(again(&file), 10_001).await;
    assert_eq!(code(over), ErrorCode::Quota);
    let over = call.view().write(again(&file), b"y".to_vec(), 10_000).await;
    assert_eq!(code(over), ErrorCode::Quota);
    let far = call
        .view()
        .write(again(&file), b"y".to_vec(), u64::MAX)
        .await;
    assert_eq!(code(far), ErrorCode::FileTooLarge);
    call.view().set_size(again(&file), 10).await.unwrap();
    call.view()
        .write(again(&file), b"y".to_vec(), 9_999)
        .await
        .unwrap();
}

#[tokio::test]
async fn a_stream_reads_a_file_to_its_end() {
    let tree = Tree::new();
    let text: Vec<u8> = (0..200_000_u32).flat_map(u32::to_le_bytes).collect();
    tree.dir.write("docs/big", &text).unwrap();
    let mut call = tree.usual();
    let docs = call.preopen("/docs");
    let file = call
        .open(&docs, "big", OpenFlags::empty(), READ)
        .await
        .unwrap();
    let stream = call.view().read_via_stream(again(&file), 4).unwrap();
    let table = call.state.parts::<crate::files::FilesState>().table;
    let reader: &mut DynInputStream = table.get_mut(&stream).unwrap();
    let mut read = Vec::new();
    while let Ok(bytes) = reader.blocking_read(10_000).await {
        read.extend_from_slice(&bytes);
    }
    assert_eq!(read, &text[4..]);
}

#[tokio::test]
async fn fs_031_a_file_removed_while_open_counts_until_it_is_closed() {
    let tree = Tree::new();
    let mut call = tree.usual();
    let out = call.preopen("/out");
    let file = call
        .open(&out, "f", OpenFlags::CREATE, READ | WRITE)
        .await
        .unwrap();
    call.view()
        .write(again(&file), vec![b'x'; 10_000], 0)
        .await
        .unwrap();
    call.view()
        .unlink_file_at(again(&out), "f".to_owned())
        .await
        .unwrap();
    assert_eq!(limited(call.write("/out/g", b"y").await), "files.quota");
    assert_eq!(
        call.view().read(again(&file), 5, 0).await.unwrap().0,
        b"xxxxx"
    );
    call.close(file);
    call.write("/out/g", &[b'y'; 10_000]).await.unwrap();
}

#[tokio::test]
async fn fs_031_a_directory_removed_while_open_gives_errors_and_no_panic() {
    let tree = Tree::new();
    let mut call = tree.usual();
    let out = call.preopen("/out");
    call.view()
        .create_directory_at(again(&out), "d".to_owned())
        .await
        .unwrap();
    let held = call
        .open(&out, "d", OpenFlags::DIRECTORY, READ)
        .await
        .unwrap();
    call.view()
        .remove_directory_at(again(&out), "d".to_owned())
        .await
        .unwrap();
    let result = call.open(&held, "f", OpenFlags::CREATE, WRITE).await;
    assert_eq!(code(result), ErrorCode::NoEntry);
}

#[tokio::test]
async fn fs_031_renaming_over_an_open_file_keeps_both_counted() {
    let tree = Tree::new();
    let mut call = tree.usual();
    call.write("/out/a", &[b'a'; 4_000]).await.unwrap();
    call.write("/out/b", &[b'b'; 4_000]).await.unwrap();
    let out = call.preopen("/out");
    let held = call
        .open(&out, "b", OpenFlags::empty(), READ)
        .await
        .unwrap();
    call.view()
        .rename_at(again(&out), "a".to_owned(), again(&out), "b".to_owned())
        .await
        .unwrap();
    assert_eq!(
        limited(call.write("/out/c", &[b'c'; 2_001]).await),
        "files.quota"
    );
    call.close(held);
    call.write("/out/c", &[b'c'; 6_000]).await.unwrap();
}

#[tokio::test]
async fn fs_007_trailing_slashes_say_what_linux_says() {
    let tree = Tree::new();
    tree.dir.write("out/f", "x").unwrap();
    tree.dir.create_dir("out/d").unwrap();
    tree.dir.symlink("d", "out/ld").unwrap();
    tree.dir.symlink("f", "out/lf").unwrap();
    let mut call = tree.usual();
    let out = call.preopen("/out");
    let path = |text: &str| text.to_owned();
    let o = || again(&out);
    for name in ["f/", "lf/"] {
        let opened = call.open(&out, name, OpenFlags::empty(), READ).await;
        assert_eq!(code(opened), ErrorCode::NotDirectory, "{name}");
        let stat = call
            .view()
            .stat_at(o(), PathFlags::empty(), path(name))
            .await;
        assert_eq!(code(stat), ErrorCode::NotDirectory, "{name}");
        assert_eq!(
            code(call.view().unlink_file_at(o(), path(name)).await),
            ErrorCode::NotDirectory
        );
    }
    assert_eq!(
        code(call.view().unlink_file_at(o(), path("ld/")).await),
        ErrorCode::NotDirectory
    );
    assert_eq!(
        code(call.view().remove_directory_at(o(), path("ld/")).await),
        ErrorCode::NotDirectory
    );
    assert_eq!(
        code(call.view().readlink_at(o(), path("ld/")).await),
        ErrorCode::Invalid
    );
    let renamed = call.view().rename_at(o(), path("f/"), o(), path("g")).await;
    assert_eq!(code(renamed), ErrorCode::NotDirectory);
    let renamed = call.view().rename_at(o(), path("f"), o(), path("g/")).await;
    assert_eq!(code(renamed), ErrorCode::NotDirectory);
    call.view()
        .create_directory_at(o(), path("new/"))
        .await
        .unwrap();
    call.open(&out, "ld/", OpenFlags::DIRECTORY, READ)
        .await
        .unwrap();
}

#[tokio::test]
async fn fs_022_a_directory_stream_that_is_dropped_midway_holds_no_entries() {
    let tree = Tree::new();
    tree.dir.create_dir("docs/many").unwrap();
    for index in 0..2_000 {
        tree.dir.write(format!("docs/many/{index}"), "").unwrap();
    }
    let mut call = tree.usual();
    let docs = call.preopen("/docs");
    let many = call
        .open(&docs, "many", OpenFlags::DIRECTORY, READ)
        .await
        .unwrap();
    let stream = call.view().read_directory(again(&many)).await.unwrap();
    for _ in 0..10 {
        let again = Resource::new_borrow(stream.rep());
        assert!(
            call.view()
                .read_directory_entry(again)
                .await
                .unwrap()
                .is_some()
        );
    }
    HostDirectoryEntryStream::drop(&mut call.view(), stream).unwrap();
    let stream = call.view().read_directory(again(&many)).await.unwrap();
    let mut seen = 0;
    while call
        .view()
        .read_directory_entry(Resource::new_borrow(stream.rep()))
        .await
        .unwrap()
        .is_some()
    {
        seen += 1;
    }
    assert_eq!(seen, 2_000);
}

#[tokio::test]
async fn live_descriptors_are_capped() {
    let tree = Tree::new();
    let mut call = tree.usual();
    let docs = call.preopen("/docs");
    let mut held = Vec::new();
    let refused = loop {
        match call.open(&docs, "a.md", OpenFlags::empty(), READ).await {
            Ok(fd) => held.push(fd),
            Err(error) => break error,
        }
        assert!(held.len() <= 256, "no cap");
    };
    assert_eq!(code::<()>(Err(refused)), ErrorCode::Busy);
    assert!(held.len() >= 250, "{}", held.len());
    call.close(held.pop().unwrap());
    call.open(&docs, "a.md", OpenFlags::empty(), READ)
        .await
        .unwrap();
}

#[tokio::test]
async fn no_time_stamp_reaches_the_guest() {
    let tree = Tree::new();
    let mut call = tree.usual();
    let docs = call.preopen("/docs");
    let stat = call
        .view()
        .stat_at(again(&docs), PathFlags::empty(), "a.md".to_owned())
        .await
        .unwrap();
    assert_eq!(stat.size, 5);
    assert!(stat.data_access_timestamp.is_none());
    assert!(stat.data_modification_timestamp.is_none());
    assert!(stat.status_change_timestamp.is_none());
}

#[tokio::test]
async fn fs_035_the_hash_of_a_file_is_another_one_in_every_run() {
    let tree = Tree::new();
    let mut hashes = Vec::new();
    for _ in 0..2 {
        let mut call = tree.usual();
        let docs = call.preopen("/docs");
        let mut of = async |path: &str| {
            let path = path.to_owned();
            let mut view = call.view();
            let hash = view.metadata_hash_at(again(&docs), PathFlags::empty(), path);
            let hash = hash.await.unwrap();
            (hash.lower, hash.upper)
        };
        let (one, same, other) = (of("a.md").await, of("a.md").await, of("sub/b.md").await);
        assert_eq!(one, same);
        assert_ne!(one, other);
        hashes.push(one);
    }
    let [first, second] = hashes.try_into().unwrap();
    assert_ne!(
        first, second,
        "a guest could search for the inode behind it"
    );
}

#[tokio::test]
async fn both_interfaces_read_the_same_bytes_under_the_same_rule() {
    let tree = Tree::new();
    let mut call = tree.usual();
    let ours = call.read("/docs/sub/b.md").await.unwrap();
    let first = call.last();
    let docs = call.preopen("/docs");
    let file = call
        .open(&docs, "sub/b.md", OpenFlags::empty(), READ)
        .await
        .unwrap();
    assert_eq!(call.last(), first);
    assert_eq!(
        call.view().read(again(&file), 100, 0).await.unwrap().0,
        ours
    );
}

#[tokio::test]
async fn a_spent_host_call_budget_traps() {
    let tree = Tree::new();
    let mut call = tree.usual();
    let docs = call.preopen("/docs");
    let allowed = call.state.scope().effective.limits.host_calls;
    let meter = Arc::clone(&call.state.scope().meter);
    meter
        .host_calls
        .store(allowed, std::sync::atomic::Ordering::Relaxed);
    let error = call.view().get_type(again(&docs)).await.unwrap_err();
    let trap = error.downcast().unwrap_err();
    assert!(
        trap.downcast_ref::<flowhost_engine::Fault>().is_some(),
        "{trap:?}"
    );
}

#[test]
fn both_interfaces_link_and_the_runtime_ones_link_without_a_grant() {
    let engine = wasmtime::Engine::default();
    let files = Files::new(FileServices::default());
    for granted in [true, false] {
        let mut linker = wasmtime::component::Linker::new(&engine);
        files.capability().link(&mut linker, granted).unwrap();
        let twice = files.capability().link(&mut linker, granted);
        assert!(twice.is_err(), "nothing was linked the first time");
    }
}
