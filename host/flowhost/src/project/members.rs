//! Each plugin of a plan: its component, what it asks for, what may be had, and what follows.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use flowhost_engine::{Inspected, Inspection};
use flowhost_flow::expr::Names;
use flowhost_flow::plan::{Faults, InputType};
use flowhost_flow::{Plan, PluginDecl};
use flowhost_policy::{
    Ask, Effective, Lent, Manifest, Narrowing, Own, Position, Profile, Right, TakenOwn, TraceEntry,
    effective, host_input,
};
use semver::{Version, VersionReq};
use serde_json::Value;

use flowhost_run::functions::{ToolNames, check_functions};
use flowhost_run::{Finding, Member};
use flowhost_words::{PluginKind, with_article};

use super::inputs::Bound;
use super::pins::Pins;
use super::told::Told;
use crate::component::{not_so, spared, undeclared};
use crate::report::problems::Texts;
use crate::sources::{KeptRun, Sources, Whose, is_shipped, read_profile};

/// What was not given to the project's plugins, as profiles that came with the plan give nothing of
/// the operator's.
#[derive(Default)]
pub(super) struct Withheld {
    pub(super) told: Told,
    /// Secrets that such profiles name. A component may have been built with one, so that what the run
    /// leaves is rid of them as of those that were given.
    pub(super) secrets: BTreeSet<String>,
    /// Plugins of whose rights nothing is known, because their profile could not be read.
    pub(super) unjudged: BTreeSet<String>,
}

pub(super) fn resolve(
    sources: &Sources<'_>,
    plan: &Plan,
    dir: &Path,
    bound: &Bound,
    texts: &mut Texts,
    findings: &mut Vec<Finding>,
    withheld: &mut Withheld,
) -> BTreeMap<String, Member> {
    let mut homes = Vec::new();
    homes_of(plan, dir, "", &mut homes);
    let pins = Pins::of(sources, dir, homes.iter().map(|home| home.decl));
    let (mut members, mut promised) = (BTreeMap::new(), BTreeSet::new());
    // Nothing is told of a folder whose input is told of already.
    let faults = plan.faults();
    let dirs = plan.inputs.iter();
    let dirs = dirs.filter(|(name, it)| it.ty == InputType::Dir || faults.touch("inputs", name));
    let dirs: BTreeSet<&str> = dirs.map(|(name, _)| name.as_str()).collect();
    let may_be_folder =
        |name: &str| dirs.contains(name) || faults.astray() || faults.touch_section("inputs");
    for home in homes {
        let mut one = Resolver {
            sources,
            home: &home,
            pins: &pins,
            may_be_folder: &may_be_folder,
            texts,
            found: Vec::new(),
            withheld: Withheld::default(),
        };
        let mut member = one.member(bound);
        if let Some(member) = member.as_mut().filter(|_| is_shipped(&home.decl.profile)) {
            let own = sources.own_profile(&home.decl.name, &home.dir, &mut promised);
            member.own = Some(own);
        }
        findings.append(&mut one.found);
        withheld.told.append(std::mem::take(&mut one.withheld.told));
        withheld.secrets.append(&mut one.withheld.secrets);
        withheld.unjudged.append(&mut one.withheld.unjudged);
        members.extend(member.map(|member| (home.key.clone(), member)));
    }
    check_functions(plan, &declared_tools(&members), findings);
    members
}

/// A declared plugin and the folder that its paths are relative to.
struct Home<'a> {
    key: String,
    decl: &'a PluginDecl,
    file: &'a str,
    dir: PathBuf,
    /// What is wrong with the plan that declares it.
    faults: &'a Faults,
}

fn homes_of<'a>(plan: &'a Plan, dir: &Path, prefix: &str, homes: &mut Vec<Home<'a>>) {
    for (name, decl) in &plan.plugins {
        let key = format!("{prefix}{name}");
        homes.push(Home {
            key,
            decl,
            file: &plan.file,
            dir: dir.to_owned(),
            faults: plan.faults(),
        });
    }
    for wanted in plan.sub_plans() {
        if let Some(child) = plan.sub_plan(&wanted.reference) {
            let path = dir.join(&wanted.reference);
            let below = path.parent().unwrap_or(dir);
            homes_of(
                child,
                below,
                &format!("{prefix}{}::", wanted.reference),
                homes,
            );
        }
    }
}

/// Whether a plugin would have this if whoever may give it did: what its manifest does not ask for, no profile gives.
fn asks_for(manifest: &Manifest, taken: &TakenOwn) -> bool {
    let right = Right::of_path(&taken.entry.right);
    match &manifest.needs.secrets {
        Ask::Only(secrets) if taken.own == Own::Secret => {
            let mut names = secrets.names.iter().chain(&secrets.reveal);
            names.any(|name| *name == taken.name)
        }
        _ => right.is_none_or(|right| right.is_asked_by(manifest)),
    }
}

/// A profile in the place of one that could not be read.
const NOTHING: &str = "version = 1\nname = \"nothing\"\n";

struct Resolver<'a> {
    sources: &'a Sources<'a>,
    home: &'a Home<'a>,
    pins: &'a Pins,
    /// Whether the outermost plan has a `dir` input of this name, as far as that can be read.
    may_be_folder: &'a dyn Fn(&str) -> bool,
    texts: &'a mut Texts,
    found: Vec<Finding>,
    withheld: Withheld,
}

impl Resolver<'_> {
    fn member(&mut self, bound: &Bound) -> Option<Member> {
        let decl = self.home.decl;
        let profile = self.profile();
        // All of it is looked at before anything is given up, so that one round tells all.
        let component = self.component();
        let config = self.config(bound);
        let narrowing = self.narrowing(profile.as_ref().map(|(profile, _)| profile));
        let (path, inspection) = component?;
        let manifest = self.manifest(&path, &inspection)?;
        let fits = self.fits(&manifest);
        let signature = self.vouched_for(&path, &inspection, &manifest);
        // After the signature: what is told of one must not hide the other.
        fits?;
        if profile.is_none() || narrowing.is_none() {
            self.withheld.unjudged.insert(self.home.key.clone());
        }
        let narrowing = narrowing.unwrap_or_else(|| Narrowing::none(&self.home.key));
        let (mut profile, taken) = match profile {
            Some(profile) => self.owned(profile, &manifest),
            // The rest of the plugin is looked at as one that may do nothing.
            None => (Profile::parse(NOTHING, "").ok()?, Vec::new()),
        };
        let (mut effective, mut trace) = effective(&manifest, &profile, &narrowing, None);
        trace.extend(taken);
        // Told by what the run recorded and not by where the profile lies now: in a run that is kept, all lie in one
        // place.
        if self.had_less(&effective.hash) {
            self.keep_out(&profile);
            profile = profile.lent().profile;
            (effective, trace) = flowhost_policy::effective(&manifest, &profile, &narrowing, None);
        }
        self.fill_folders(&mut effective, &profile, bound);
        let mut decl = decl.clone();
        if self.is_told("/kind") {
            decl.kind = inspection.role;
        }
        Some(Member {
            decl,
            config: config?,
            path,
            signature: signature?,
            inspection,
            manifest,
            profile,
            own: None,
            effective,
            trace,
        })
    }

    /// Whether a run that is looked at again had other rights than its profile gives: the profile had come with
    /// the plan, and was lent.
    fn had_less(&self, hash: &str) -> bool {
        let kept = self.sources.kept();
        let kept = kept.and_then(|kept| kept.plugin(&self.home.key).ok());
        kept.is_some_and(|kept| kept.rights != hash)
    }

    fn keep_out(&mut self, profile: &Profile) {
        let secrets = &profile.grants.secrets;
        let named = secrets.names.iter().chain(&secrets.reveal);
        self.withheld.secrets.extend(named.cloned());
        let injects = profile.grants.http.iter();
        let injects = injects.filter_map(|rule| rule.inject.as_ref());
        let injected = injects.flat_map(|inject| inject.secrets().map(str::to_owned));
        self.withheld.secrets.extend(injected);
    }

    /// The profile as far as it is its owner's to give: one that came with the plan gives nothing of the
    /// operator's.
    fn owned(
        &mut self,
        (profile, whose): (Profile, Whose),
        manifest: &Manifest,
    ) -> (Profile, Vec<TraceEntry>) {
        if whose != Whose::Plans {
            return (profile, Vec::new());
        }
        let (name, file) = (profile.name.clone(), profile.file.clone());
        let adopt = "if you have read the profiles and stand behind them, name their folder with \
                     `--policies`";
        let elsewhere: Vec<Finding> = profile
            .folders_elsewhere()
            .map(|(index, host)| {
                let path = format!("files[{index}].host");
                let at = profile.position(&path).unwrap_or(Position::START);
                let message = format!(
                    "`{name}` came with the plan, and grants `{host}`, which is not the plan's"
                );
                let cure = format!(
                    "let an input name the folder (`host = \"${{inputs.NAME}}\"`); or, {adopt}"
                );
                Finding::new(&file, message)
                    .at(at.line, at.column)
                    .cure(cure)
            })
            .collect();
        self.found.extend(elsewhere);
        self.keep_out(&profile);
        let Lent { profile, taken } = profile.lent();
        let folder = Path::new(&file).parent().unwrap_or(Path::new(""));
        let folder = folder.display();
        for one in &taken {
            let (name, source) = (&one.name, &one.entry.source);
            let what = match one.own {
                Own::InjectedLogin => format!("`inject` of the login `{name}`"),
                Own::InjectedSecrets => format!("`inject` of the secret `{name}`"),
                Own::Identity => format!("the identity `{name}`"),
                Own::Variable => format!("the variable `{name}`"),
                Own::Secret => format!("`{name}`"),
            };
            let what = match asks_for(manifest, one) {
                true => format!(
                    "{what} ({source}) is not given: a profile that came with the plan gives nothing of yours; if you \
                     have read the profiles and stand behind them, name their folder with `--policies {folder}`, or \
                     as `policies` in your own configuration"
                ),
                // Whoever stands behind the profile would change nothing by it.
                false => format!(
                    "{what} ({source}) changes nothing here, whoever gives the profile: the plugin does not ask for it"
                ),
            };
            self.withheld.told.add(what, &self.home.key);
        }
        (profile, taken.into_iter().map(|it| it.entry).collect())
    }

    /// The configuration as the plugin reads it. A sub-plan's inputs differ from step to step, so
    /// that its plugins, of which a run has one each, cannot have them.
    fn config(&mut self, bound: &Bound) -> Option<Arc<str>> {
        let inputs = Value::Object(bound.values.clone());
        // A plugin of a sub-plan has its path in front of its name.
        let own = !self.home.key.contains("::");
        let names: Vec<(&str, &Value)> = own.then_some(("inputs", &inputs)).into_iter().collect();
        match self.home.decl.config.render(&Names::new(&names)) {
            Ok(Value::Null) => Some("{}".into()),
            Ok(value) => Some(value.to_string().into()),
            // An input that lacks its value is told of already, and this only follows from it.
            Err(_) if own && !bound.sound => Some("{}".into()),
            Err(error) if own => {
                self.found
                    .push(self.at("/config", format!("config: {error}")));
                None
            }
            Err(_) => {
                let message = "config: a sub-plan's plugin cannot be configured by inputs";
                self.found
                    .push(self.at("/config", message).cure("pass them by `with`"));
                None
            }
        }
    }

    /// Whether something is wrong with a part of the plugin, such as `/source`, and has been told.
    fn is_told(&self, part: &str) -> bool {
        self.home.faults.covers(self.home.decl.place(part))
    }

    /// A finding at the plugin's place in the plan.
    fn here(&self, message: impl std::fmt::Display) -> Finding {
        self.at("", message)
    }

    /// A finding at a part of the plugin, such as `/source`.
    fn at(&self, part: &str, message: impl std::fmt::Display) -> Finding {
        let at = self.home.decl.place(part);
        let message = format!("plugin `{}`: {message}", self.home.key);
        Finding::new(self.home.file, message).at(at.line, at.column)
    }

    fn profile(&mut self) -> Option<(Profile, Whose)> {
        // Whoever reads the plan has told of it.
        if self.home.decl.profile.is_empty() || self.is_told("/profile") {
            return None;
        }
        let read = match self.sources.kept() {
            None => self
                .sources
                .profile(&self.home.decl.profile, &self.home.dir, self.texts),
            // Whose it was, the rights say that the run recorded.
            Some(kept) => self
                .kept_profile(kept)
                .map(|profile| (profile, Whose::Operators)),
        };
        match read {
            Ok(found) => Some(found),
            Err(findings) => {
                let placed = findings.into_iter().map(|finding| {
                    // What is wrong within the profile is told where it stands there; what is wrong with it as a
                    // whole, where the plan names it.
                    let placed = if finding.line == 0 {
                        self.at("/profile", &finding)
                    } else {
                        finding.clone()
                    };
                    placed.cure(finding.hint)
                });
                let placed: Vec<Finding> = placed.collect();
                self.found.extend(placed);
                None
            }
        }
    }

    fn kept_profile(&mut self, kept: &KeptRun) -> Result<Profile, Vec<Finding>> {
        let missing = |finding| vec![finding];
        let file = &kept.plugin(&self.home.key).map_err(missing)?.profile;
        let text = kept.text(file).map_err(missing)?;
        self.texts.add(file, text);
        read_profile(text, file)
    }

    fn component(&mut self) -> Option<(PathBuf, Inspected)> {
        let PluginDecl { source, sha256, .. } = self.home.decl;
        // A pin that cannot be read pins nothing, and what is not pinned is not fetched.
        let is_pinned_wrongly = sha256.is_some() && self.is_told("/sha256");
        if source.is_empty() || self.is_told("/source") || is_pinned_wrongly {
            return None;
        }
        let decl = self.home.decl;
        let found = match self.sources.kept() {
            None => self.pins.with(&self.home.key, decl, |pin| {
                self.sources.inspected(&decl.source, &self.home.dir, pin)
            }),
            Some(kept) => self.sources.kept_component(kept, &self.home.key),
        };
        let (path, inspection) = match found {
            Ok(found) => found,
            Err(finding) => {
                let placed = self.at("/source", &finding).cure(finding.hint);
                self.found.push(placed);
                return None;
            }
        };
        for error in inspection.unserved() {
            let finding = self.at(
                "/source",
                format!("`{}`: {error}", self.sources.shown(&path)),
            );
            self.found.push(finding.split_hint());
        }
        // A file of the plan's own folder is pinned as one from elsewhere is.
        // A plan writes the digits alone, and knows one kind of hash.
        let digest = inspection.digest.trim_start_matches("sha256:");
        if decl
            .sha256
            .as_deref()
            .is_some_and(|pinned| pinned != digest)
        {
            let message = format!(
                "`{}` is not the pinned component: it is {digest}",
                decl.source
            );
            let cure = "check where the file comes from before you change `sha256`";
            self.found.push(self.at("/sha256", message).cure(cure));
        }
        if decl.kind != inspection.role {
            let role = inspection.role.as_str();
            let message = format!(
                "`kind` is not what the component is: {}",
                with_article(role)
            );
            self.found
                .push(self.at("/kind", message).cure(format!("kind: {role}")));
        }
        Some((path, inspection))
    }

    /// Without a manifest, the imports are what is asked for, and messages by an agent, whose role hears
    /// and hands back some without an import.
    fn manifest(&mut self, path: &Path, inspection: &Inspection) -> Option<Manifest> {
        let found = match self.sources.kept() {
            None => {
                let (source, dir) = (&self.home.decl.source, &self.home.dir);
                let embedded = inspection.manifest.as_deref();
                self.sources.described(source, dir, path, embedded)
            }
            Some(kept) => kept_manifest(kept, &self.home.key),
        };
        let found = match found {
            Ok(found) => found,
            Err(finding) => {
                self.found.push(self.here(&finding).cure(finding.hint));
                return None;
            }
        };
        let Some((file, text)) = found else {
            let imports = inspection
                .imports
                .iter()
                .map(|import| import.name.full.as_str());
            let mut manifest = Manifest::from_imports(&self.home.decl.name, imports);
            if inspection.role == PluginKind::Agent {
                manifest.needs.messages = Ask::Granted;
            }
            return Some(manifest);
        };
        self.texts.add(&file, text.as_str());
        match Manifest::parse(&text, &file) {
            Ok(manifest) => {
                let manifest = spared(manifest, &self.home.decl.source, inspection);
                // A run that is looked at again had this manifest, and ran.
                let fresh = self.sources.kept().is_none();
                let fault = fresh.then(|| not_so(&manifest, inspection.role)).flatten();
                self.found.extend(fault);
                let source = &self.home.decl.source;
                self.found.extend(undeclared(&manifest, source));
                Some(manifest)
            }
            Err(problems) => {
                self.found.extend(problems.into_iter().map(Finding::from));
                None
            }
        }
    }

    /// Holds the release against what the plan wants, and this host against what the plugin's author meant it for.
    /// Its interfaces are held against those of this host where the component is looked at.
    fn fits(&mut self, manifest: &Manifest) -> Option<()> {
        let here = env!("CARGO_PKG_VERSION");
        let name = format!("`{}` {}", manifest.name, manifest.release);
        let mut misfits = Vec::new();
        let hosts = manifest.hosts.as_ref();
        if let Some(hosts) = hosts.filter(|it| !Version::parse(here).is_ok_and(|v| it.matches(&v)))
        {
            let finding = self.at(
                "/source",
                format!("{name} is for hosts `{hosts}`, and this is {here}"),
            );
            misfits.push(
                finding.cure("take a release that is for this host, or a host that it is for"),
            );
        }
        let wanted = self.home.decl.release.as_deref();
        if let Some(wanted) = wanted.and_then(|text| VersionReq::parse(text).ok()) {
            let cure = format!("take another component, or change `release: \"{wanted}\"`");
            match Version::parse(&manifest.release) {
                Ok(release) if wanted.matches(&release) => {}
                Ok(_) => {
                    let message =
                        format!("{name} is not a release that the plan takes: `{wanted}`");
                    misfits.push(self.at("/release", message).cure(cure));
                }
                // What stands in for a manifest has no release: its text would be told as a version that is broken.
                Err(_) if manifest.is_stand_in() => {
                    let message = format!(
                        "the plan wants a release `{wanted}`, and no manifest says which it is"
                    );
                    misfits.push(self.at("/release", message).cure(cure));
                }
                Err(error) => {
                    let message = format!(
                        "the plan wants a release `{wanted}`, and {name} cannot be read as a version: {error}"
                    );
                    misfits.push(self.at("/release", message).cure(cure));
                }
            }
        }
        let fits = misfits.is_empty().then_some(());
        self.found.extend(misfits);
        fits
    }

    /// Holds the component against what the operator asks of signatures, and gives the one that came with it.
    fn vouched_for(
        &mut self,
        path: &Path,
        inspection: &Inspection,
        manifest: &Manifest,
    ) -> Option<Option<Arc<str>>> {
        let source = &self.home.decl.source;
        let digest = &inspection.digest;
        match self.sources.vouched(source, path, digest, Some(manifest)) {
            Ok(signature) => Some(signature),
            Err(finding) => {
                let placed = self.at("/source", &finding).cure(finding.hint);
                self.found.push(placed);
                None
            }
        }
    }

    fn narrowing(&mut self, profile: Option<&Profile>) -> Option<Narrowing> {
        let (home, decl) = (self.home, self.home.decl);
        let Some(raw) = &decl.narrow else {
            return Some(Narrowing::none(&home.key));
        };
        let place = |pointer: &str| {
            let at = raw.places.get(pointer).copied().unwrap_or(decl.at);
            Position {
                line: at.line.max(1),
                column: at.column.max(1),
            }
        };
        let checked = Narrowing::from_placed_json(&home.key, &raw.value, home.file, &place)
            .and_then(|narrowing| {
                let raised = profile
                    .map(|profile| narrowing.check(profile))
                    .unwrap_or_default();
                if raised.is_empty() {
                    Ok(narrowing)
                } else {
                    Err(raised)
                }
            });
        match checked {
            Ok(narrowing) => Some(narrowing),
            Err(problems) => {
                self.found.extend(problems.into_iter().map(Finding::from));
                None
            }
        }
    }

    fn fill_folders(&mut self, effective: &mut Effective, profile: &Profile, bound: &Bound) {
        for (index, grant) in effective.grants.files.iter_mut().enumerate() {
            let Some(input) = host_input(&grant.host) else {
                continue;
            };
            if let Some(folder) = bound.folders.get(input) {
                grant.host = folder.display().to_string();
                continue;
            }
            if !bound.sound && (self.may_be_folder)(input) {
                continue; // it is told that this input has no folder
            }
            let source = profile.source(&format!("files[{index}].host"));
            let message = format!(
                "{source} grants the folder of the input `{input}`, and no `dir` input has that name"
            );
            let cure = format!("declare `{input}: {{ type: dir }}` under `inputs:`");
            let finding = Finding::new("", format!("plugin `{}`: {message}", self.home.key));
            self.found.push(finding.cure(cure));
        }
    }
}

fn kept_manifest(kept: &KeptRun, key: &str) -> Result<Option<(String, String)>, Finding> {
    let Some(file) = &kept.plugin(key)?.manifest else {
        return Ok(None);
    };
    Ok(Some((file.clone(), kept.text(file)?.to_owned())))
}

fn declared_tools(members: &BTreeMap<String, Member>) -> ToolNames {
    let all = members.iter();
    all.filter(|(_, member)| has_tools(&member.decl, &member.manifest))
        .map(|(key, member)| (key.clone(), names_of(&member.manifest)))
        .collect()
}

fn has_tools(decl: &PluginDecl, manifest: &Manifest) -> bool {
    decl.kind == PluginKind::Tool && !manifest.tools.is_empty()
}

fn names_of(manifest: &Manifest) -> Vec<String> {
    let tools = manifest.tools.iter();
    tools.map(|tool| tool.name.clone()).collect()
}
