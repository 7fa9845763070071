//! `cargo xtask new`: the one file and the one line that a new action or slice needs.

use std::fmt::Write as _;
use std::path::Path;

use anyhow::{Context, Result, bail, ensure};

/// `CreateCluster` → `create_cluster`, with runs of capitals kept together as codegen does.
fn snake(name: &str) -> String {
    let chars: Vec<char> = name.chars().collect();
    let mut out = String::new();
    for (i, c) in chars.iter().enumerate() {
        let starts_word = c.is_uppercase()
            && i > 0
            && (chars[i - 1].is_lowercase()
                || chars[i - 1].is_ascii_digit()
                || chars.get(i + 1).is_some_and(|next| next.is_lowercase()));
        if starts_word {
            out.push('_');
        }
        out.extend(c.to_lowercase());
    }
    out
}

pub fn new_action(root: &Path, service: &str, operation: &str) -> Result<()> {
    let slice = root.join(format!("crates/service-{service}"));
    ensure!(slice.is_dir(), "there is no {}; `cargo xtask new service {service}`", slice.display());
    let model = root.join(format!("models/{service}/src"));
    let known = walk_text(&model)?.contains(&format!("pub struct {operation};"));
    ensure!(known, "models/{service} has no operation {operation}; see models/subset.toml");
    let name = snake(operation);
    let file = slice.join(format!("src/actions/{name}.rs"));
    ensure!(!file.exists(), "{} exists already", file.display());
    let reads = ["Get", "List", "Describe"].iter().any(|verb| operation.starts_with(verb));
    let (kind, run_with) =
        if reads { ("ReadAction", "view: &View<'_>") } else { ("WriteAction", "tx: &mut Tx<'_>") };
    let tx = if reads { "" } else { "use core_state::Tx;\n" };
    let text = format!(
        "//! {operation}.\n\nuse aws_protocol::ApiError;\n{tx}use core_step::{{Call, Demand, Demands, \
         Input, Output, {kind}, View}};\nuse model_{service} as api;\n\npub struct {operation};\n\n\
         impl {kind} for {operation} {{\n    type Op = api::{operation};\n\n    fn \
         authorize(_: &Call, _: &View<'_>, _: &Input<Self::Op>) -> Demands {{\n        \
         Demand::anywhere(\"{service}:{operation}\").into()\n    }}\n\n    fn run(\n        call: \
         &Call,\n        {run_with},\n        input: Input<Self::Op>,\n    ) -> \
         Result<Output<Self::Op>, ApiError> {{\n        compile_error!(\"write {operation}\");\n    \
         }}\n}}\n"
    );
    std::fs::write(&file, text).with_context(|| format!("write {}", file.display()))?;
    let list = slice.join("src/actions/mod.rs");
    let make = if reads { "read_action" } else { "write_action" };
    add_lines(&list, &name, &format!("    {make}::<{name}::{operation}>(),\n"))?;
    println!("wrote {} and its line in {}", file.display(), list.display());
    Ok(())
}

/// Put `mod name;` and the list entry where the alphabet wants them.
fn add_lines(list: &Path, name: &str, entry: &str) -> Result<()> {
    let text = std::fs::read_to_string(list).with_context(|| format!("read {}", list.display()))?;
    let text = insert_sorted(&text, "mod ", &format!("mod {name};\n"))?;
    let verb = entry.trim_start().split("::<").next().unwrap_or_default().to_owned();
    let text =
        insert_sorted(&text, &format!("    {}", verb.split('_').next().unwrap_or("")), entry)
            .or_else(|_| insert_before_end(&text, entry))?;
    std::fs::write(list, text).with_context(|| format!("write {}", list.display()))
}

fn insert_sorted(text: &str, prefix: &str, line: &str) -> Result<String> {
    let key = |l: &str| l.split("::<").nth(1).unwrap_or(l).to_owned();
    let mut out = String::new();
    let mut done = false;
    let mut last = None;
    for (nth, current) in text.split_inclusive('\n').enumerate() {
        if current.starts_with(prefix) || (prefix.trim() != "mod" && current.contains("_action::<"))
        {
            if !done && key(current) > key(line) {
                out.push_str(line);
                done = true;
            }
            last = Some(nth);
        } else if !done && last.is_some_and(|l| l + 1 == nth) {
            out.push_str(line);
            done = true;
        }
        out.push_str(current);
    }
    if done { Ok(out) } else { bail!("found no line that starts with {prefix:?}") }
}

fn insert_before_end(text: &str, entry: &str) -> Result<String> {
    let end = text.rfind("];").context("the list of actions ends with `];`")?;
    Ok(format!("{}{entry}{}", &text[..end], &text[end..]))
}

fn walk_text(dir: &Path) -> Result<String> {
    let mut text = String::new();
    for entry in std::fs::read_dir(dir).with_context(|| format!("read {}", dir.display()))? {
        let path = entry?.path();
        if path.is_dir() {
            text.push_str(&walk_text(&path)?);
        } else {
            let _ = write!(text, "{}", std::fs::read_to_string(&path)?);
        }
    }
    Ok(text)
}

pub fn new_service(root: &Path, service: &str) -> Result<()> {
    let slice = root.join(format!("crates/service-{service}"));
    ensure!(!slice.exists(), "{} exists already", slice.display());
    ensure!(
        root.join(format!("models/{service}")).is_dir(),
        "models/{service} is missing: name the service in models/subset.toml and run codegen"
    );
    let inherited: String = ["version", "edition", "rust-version", "license", "publish"]
        .map(|key| format!("{key}.workspace = true\n"))
        .concat();
    let manifest = format!(
        "[package]\nname = \"service-{service}\"\n{inherited}\n[lints]\nworkspace = true\n\n\
         [dependencies]\naws-protocol.workspace = true\ncore-state.workspace = true\n\
         core-step.workspace = true\ncore-types.workspace = true\nmodel-{service}.workspace = true\n\
         serde.workspace = true\n"
    );
    let hub = format!(
        "//! The {service} slice: lists only.\n\nmod actions;\n\nuse core_state::SchemaBuilder;\nuse \
         core_step::Slice;\n\npub static SLICE: Slice = Slice {{\n    service: \
         &model_{service}::SERVICE,\n    actions: actions::ACTIONS,\n    loops: &[],\n    tables: \
         |_: &mut SchemaBuilder| {{}},\n    invariants: &[],\n}};\n"
    );
    let actions = "//! The list of actions.\n\nuse core_step::Action;\n\npub const ACTIONS: &[Action] \
                   = &[\n];\n";
    std::fs::create_dir_all(slice.join("src/actions"))?;
    for (file, text) in
        [("Cargo.toml", manifest.as_str()), ("src/lib.rs", &hub), ("src/actions/mod.rs", actions)]
    {
        std::fs::write(slice.join(file), text)?;
    }
    println!(
        "wrote {}; next: a line each in Cargo.toml, in crates/wharf/src/slices.rs and in the \
              slices' order of xtask tidy",
        slice.display()
    );
    Ok(())
}
