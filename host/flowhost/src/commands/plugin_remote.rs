//! `flowhost plugin publish|pull`: to a registry, and from there or from a web server.

use std::path::Path;

use flowhost::failure::Failure;
use flowhost::finding::Finding;
use flowhost::output::neutral;
use flowhost::plugin::trust::signature_file;
use flowhost::remote::{Fetched, Papers, Remote};
use flowhost_author::Pack;
use flowhost_author::remote::Published;
use flowhost_flow::Exit;
use flowhost_words::shell_word;
use serde_json::json;

use crate::commands::Context;
use crate::commands::plugin_ship::{Component, brought, how_to_sign};

pub(crate) fn publish(
    file: &Path,
    destination: &str,
    replace: bool,
    context: &Context,
) -> Result<Exit, Failure> {
    let mut pack = brought(file, context)?;
    let read = Component::of(file, &mut pack, context)?;
    if !read.is_whole() {
        let file = shell_word(&file.display().to_string());
        let message = format!("`{file}` cannot be published as it is");
        return Err(Failure::new(Exit::Internal, message)
            .because("its manifest stands beside it, and a registry keeps the component alone")
            .hint(format!(
                "`flowhost plugin build {file}` puts it inside; sign and publish the file that it writes"
            )));
    }
    let how = how_to_sign(file, &pack);
    let Pack {
        signature,
        readme,
        sbom,
        ..
    } = pack;
    let papers = Papers {
        readme: readme.map(String::into_bytes),
        sbom: sbom.map(String::into_bytes),
    };
    let imports = read.inspection.imports.iter();
    let imports: Vec<String> = imports.map(|import| import.name.full.clone()).collect();
    let manifest = &read.manifest;
    let published = Published {
        digest: &read.inspection.digest,
        size: read.bytes.len() as u64,
        name: &manifest.name,
        release: &manifest.release,
        description: &manifest.description,
        imports: &imports,
        exports: &read.inspection.exports,
        signature: signature.as_deref(),
        papers: &papers.named(),
    };
    let remote = Remote::new(&context.ambient, &context.config);
    let pushed = remote.publish(destination, &read.bytes, &papers, &published, replace);
    let pushed = pushed.map_err(|found| failed(&found))?;
    if context.output.json {
        context.output.document(&json!({ "place": pushed.exact, "manifest": pushed.manifest,
            "digest": &*read.inspection.digest, "signed": signature.is_some(), "already": pushed.already }));
        return Ok(Exit::Ok);
    }
    let done = match pushed.already {
        true => "was there already, as it is",
        false => "published",
    };
    let signed = match signature {
        Some(_) => "signed".to_owned(),
        None => format!("not signed: {how}, before publishing"),
    };
    let exact = &pushed.exact;
    let text = format!(
        "{exact}\n  {done}\n  {}\n  {signed}\n",
        read.inspection.digest
    );
    context.output.result(&neutral(&text));
    Ok(Exit::Ok)
}

pub(crate) fn pull(
    source: &str,
    sha256: Option<&str>,
    dir: &Path,
    context: &Context,
) -> Result<Exit, Failure> {
    let remote = Remote::new(&context.ambient, &context.config);
    let fetched = remote.newest_with_papers(source);
    let fetched = fetched.map_err(|found| failed(&found))?;
    let digest = &fetched.digest;
    // With and without the prefix, and in either case, as other tools print it.
    let wanted = sha256.map(|it| it.trim_start_matches("sha256:").to_ascii_lowercase());
    if let Some(wanted) = wanted.filter(|wanted| digest.trim_start_matches("sha256:") != wanted) {
        let message =
            format!("`{source}` is another component: {digest}, and sha256:{wanted} is wanted");
        return Err(Failure::new(Exit::Internal, message).hint("nothing was written"));
    }
    let read = Component::read(fetched.component, source)?;
    // The name is the manifest's, whose rules leave no way out of a folder.
    let name = &read.manifest.name;
    let path = dir.join(format!("{name}.wasm"));
    let mut files = Vec::new();
    let Papers { readme, sbom } = fetched.papers;
    // Under the plugin's name, because most folders have a README of their own.
    files.extend(readme.map(|bytes| (dir.join(format!("{name}.README.md")), bytes)));
    files.extend(sbom.map(|bytes| (dir.join(format!("{name}.sbom.json")), bytes)));
    files.extend(
        fetched
            .signature
            .map(|text| (signature_file(&path), text.into_bytes())),
    );
    // The component last: whoever finds it finds what belongs to it.
    files.push((path, read.bytes));
    if let Some((path, _)) = files.iter().find(|(path, _)| context.ambient.is_file(path)) {
        let message = format!("`{}` is there already", path.display());
        return Err(Failure::new(Exit::Internal, message)
            .hint("nothing was written; name another folder with --dir"));
    }
    context.ambient.create_dir(dir)?;
    for (path, bytes) in &files {
        context.ambient.write(path, bytes)?;
    }
    let written: Vec<String> = files
        .iter()
        .map(|(path, _)| path.display().to_string())
        .collect();
    match context.output.json {
        true => context.output.document(&json!({ "place": fetched.exact,
            "digest": digest, "files": written })),
        false => {
            let text = format!("{}\n  {digest}\n{}\n", fetched.exact, written.join("\n"));
            context.output.result(&neutral(&text));
        }
    }
    Ok(Exit::Ok)
}

/// What is at a place now.
pub(crate) fn newest(source: &str, context: &Context) -> Result<Fetched, Failure> {
    let remote = Remote::new(&context.ambient, &context.config);
    remote.newest(source).map_err(|found| failed(&found))
}

fn failed(finding: &Finding) -> Failure {
    Failure::new(Exit::Internal, finding.message.clone()).hint(finding.hint.clone())
}
