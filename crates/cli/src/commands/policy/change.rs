//! New versions of policies: each is a commit.

use std::io::Write;
use std::path::Path;

use glossator_lineage::policy::{
    Change, Field, ImportFormat, Label, Op, Policy, Redo, Version, Vocabulary, import as read_tool,
    step,
};
use glossator_store::fs::Disk;
use glossator_store::{CommitId, Layer, Made, Store};

use super::{AddArgs, FormatName};
use crate::commands::check::of_policies;
use crate::context::Context;
use crate::error::{CliError, Result};
use crate::policies::{POLICY_FILE, all, known, named, of_file, path};
use crate::render::plain;

/// Files of a commit's tree.
type Files = Vec<(String, Option<Vec<u8>>)>;

/// The policy of that name at the head, and the head.
fn current(store: &Store, name: &str) -> Result<(Option<CommitId>, Option<Policy>)> {
    let head = store.history.head()?.commit;
    let found = match head {
        Some(head) => all(store, head)?.remove(name),
        None => None,
    };
    Ok((head, found))
}

fn wrong(name: &str) -> impl Fn(glossator_lineage::policy::PolicyError) -> CliError {
    move |error| of_file(&path(name, POLICY_FILE), &error)
}

/// Commits a policy and further files of it.
fn commit(
    context: &mut Context,
    store: &Store,
    head: Option<CommitId>,
    policy: &Policy,
    mut files: Files,
    message: &str,
) -> Result<u8> {
    let text = policy.render().map_err(wrong(&policy.name))?;
    of_policies(std::iter::once(policy))?;
    // What is written must read: an error now rather than at each later command.
    Policy::parse(&text).map_err(wrong(&policy.name))?;
    files.push((path(&policy.name, POLICY_FILE), Some(text.into_bytes())));
    let options = context.commit_options(store, None, message, "policy")?;
    let layer = Layer::default();
    let made = Made { files: &files, ..Made::of(&layer) };
    let made = store.commit_on(head, &made, &options)?;
    if context.json {
        context.json_line(&serde_json::json!({ "policy": policy.full_name(), "commit": made }))?;
        return Ok(0);
    }
    let short = made.map(|commit| commit.short()).unwrap_or_default();
    writeln!(context.out(), "{} at {short}", policy.full_name())?;
    Ok(0)
}

fn file(context: &Context, name: &str, file: Option<&Path>, as_name: &str) -> Result<Files> {
    let Some(file) = file else { return Ok(Vec::new()) };
    let bytes = read(context, file)?.into_bytes();
    Ok(vec![(path(name, as_name), Some(bytes))])
}

fn read(context: &Context, file: &Path) -> Result<String> {
    let name = plain(&file.display().to_string()).into_owned();
    let path = context.path(file);
    if !path.is_file() {
        return Err(CliError::input(format!("there is no file `{name}`")).hint("check the path"));
    }
    let bytes = Disk::default().read(&path)?;
    String::from_utf8(bytes).map_err(|_| CliError::input(format!("`{name}` is not UTF-8")))
}

pub(super) fn add(context: &mut Context, args: &AddArgs) -> Result<u8> {
    let store = context.store()?;
    let (head, old) = current(&store, &args.name)?;
    let mut files = file(context, &args.name, args.guideline.as_deref(), "guideline.md")?;
    let guideline = files.first().and_then(|(_, bytes)| bytes.clone());
    files.extend(file(context, &args.name, args.config.as_deref(), "label-config.xml")?);
    let mut policy = match (&args.file, &old) {
        (Some(file), _) => {
            let text = read(context, file)?;
            let name = file.display().to_string();
            Policy::parse(&text).map_err(|e| of_file(&name, &e))?
        }
        (None, Some(old)) => old.clone(),
        (None, None) => Policy {
            name: args.name.clone(),
            version: Version::first(),
            strict: false,
            unstated: None,
            gates: Default::default(),
            relabel: None,
            fields: args.field.iter().map(|text| field(text)).collect(),
            changes: Vec::new(),
        },
    };
    if policy.name != args.name {
        let message = format!("the file is of the policy `{}`, not `{}`", policy.name, args.name);
        return Err(CliError::input(message).hint("give that name, or change the file"));
    }
    if let Some(old) = &old {
        let stored = match head {
            Some(head) => store.history.file(head, &path(&args.name, "guideline.md"))?,
            None => None,
        };
        let reworded = guideline.is_some() && guideline != stored;
        if reworded && args.redo.is_none() {
            return Err(CliError::input("the guideline changed: say what that makes void")
                .hint("`--redo none` where the meaning is the same, `rows`, or `items`"));
        }
        if args.file.is_none() {
            if !args.field.is_empty() {
                return Err(CliError::input(format!("`{}` is there already", old.full_name()))
                    .hint(
                        "write its next version as a file: `gloss policy show` prints this one",
                    ));
            }
            let redo = args.redo.map_or(Redo::None, Redo::from);
            policy.version = old.version.next(redo != Redo::None);
        }
        if reworded {
            let redo = args.redo.map_or(Redo::None, Redo::from);
            let change = Change::new(policy.version.clone(), Op::Same, redo);
            policy.changes.push(Change { reason: args.reason.clone(), ..change });
        }
        step(old, &mut policy).map_err(wrong(&args.name))?;
    }
    let message = args.message.clone().unwrap_or_else(|| format!("Policy {}", policy.full_name()));
    commit(context, &store, head, &policy, files, &message)
}

/// `FIELD=LABEL,LABEL`.
fn field(text: &str) -> Field {
    let (name, labels) = text.split_once('=').unwrap_or((text, ""));
    let names = labels.split(',').map(str::trim).filter(|label| !label.is_empty());
    let taxonomy: Vec<Label> =
        names.map(|name| Label { name: name.to_owned(), ..Label::default() }).collect();
    Field {
        name: name.trim().to_owned(),
        kind: None,
        scale: None,
        order: Vec::new(),
        cardinality: None,
        required: false,
        merge: None,
        labels: if taxonomy.is_empty() { Vocabulary::Open } else { Vocabulary::Closed },
        taxonomy,
    }
}

pub(super) fn import(
    context: &mut Context,
    name: &str,
    file: &Path,
    format: Option<FormatName>,
) -> Result<u8> {
    let store = context.store()?;
    let (head, old) = current(&store, name)?;
    let text = read(context, file)?;
    let shown = file.display().to_string();
    let format = format.map(ImportFormat::from).or_else(|| ImportFormat::guess(&text));
    let Some(format) = format else {
        return Err(CliError::input(format!("`{shown}` describes no labels that are known"))
            .hint("say whose it is: `--format label-studio`, `coco`, `cvat` or `labelbox`"));
    };
    let mut policy = read_tool(name, &text, format).map_err(|e| of_file(&shown, &e))?;
    if let Some(old) = &old {
        policy.version = old.version.next(true);
        policy.changes.clone_from(&old.changes);
        policy.unstated.clone_from(&old.unstated);
        policy.strict = old.strict;
        policy.gates.clone_from(&old.gates);
        policy.relabel.clone_from(&old.relabel);
        step(old, &mut policy).map_err(|e| of_file(&shown, &e))?;
    }
    let files = match format {
        ImportFormat::LabelStudio => {
            vec![(path(name, "label-config.xml"), Some(text.into_bytes()))]
        }
        _ => Vec::new(),
    };
    let message = format!("Policy {}", policy.full_name());
    commit(context, &store, head, &policy, files, &message)
}

pub(super) fn rename(
    context: &mut Context,
    name: &str,
    field: &str,
    from: String,
    to: String,
) -> Result<u8> {
    let store = context.store()?;
    let (head, old) = current(&store, name)?;
    let old = old.into_iter().map(|policy| (name.to_owned(), policy)).collect();
    let mut policy = known(&old, name, None)?.clone();
    let Some(asked) = policy.fields.iter_mut().find(|known| known.name == field) else {
        return Err(CliError::input(format!("`{name}` has no field `{field}`"))
            .hint(format!("`gloss policy show {name}` shows them")));
    };
    if asked.taxonomy.iter().any(|label| label.name == to) {
        return Err(CliError::input(format!("`{to}` is a label of `{field}` already")).hint(
            "labels that become one are a `merge`: state it in the file of the next version",
        ));
    }
    let Some(label) = asked.taxonomy.iter().find(|label| label.name == from) else {
        return Err(CliError::input(format!("`{field}` has no label `{from}`"))
            .hint(format!("`gloss policy show {name}` shows them")));
    };
    // A path stays one: else a tool would answer what the policy does not know.
    let path = label.parent.as_ref().map(|parent| format!("{parent}/"));
    if let Some(path) = path.filter(|path| from.starts_with(path) && !to.starts_with(path)) {
        return Err(CliError::input(format!("`{from}` is below `{}`", path.trim_end_matches('/')))
            .hint(format!("give its whole path: `{path}{to}`")));
    }
    let renamed = asked.rename(&from, &to);
    if let Some((_, taken)) = renamed
        .iter()
        .find(|(_, new)| asked.taxonomy.iter().filter(|label| label.name == *new).count() > 1)
    {
        return Err(CliError::input(format!("`{taken}` is a label of `{field}` already")));
    }
    policy.version = policy.version.next(false);
    let message = format!("Policy {}: {field}: {from} is {to}", policy.full_name());
    policy.changes.extend(renamed.into_iter().map(|(from, to)| Change {
        field: Some(field.to_owned()),
        from: vec![from],
        to: vec![to],
        ..Change::new(policy.version.clone(), Op::Rename, Redo::None)
    }));
    commit(context, &store, head, &policy, Vec::new(), &message)
}

pub(super) fn attach(context: &mut Context, text: &str) -> Result<u8> {
    let store = context.store()?;
    let (name, version) = named(text)?;
    let head = crate::context::head(&store)?;
    let policies = all(&store, head)?;
    let mut policy = known(&policies, &name, Some(&version))?.clone();
    if let Some(other) =
        policies.values().find(|other| other.name != name && other.unstated.is_some())
    {
        let message = format!("rows without a policy are claimed by `{}` already", other.name);
        return Err(CliError::input(message));
    }
    policy.unstated = Some(version);
    let message = format!("Rows without a policy were made under {text}");
    commit(context, &store, Some(head), &policy, Vec::new(), &message)
}
