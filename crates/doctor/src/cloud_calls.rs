//! Declared against called: compares `permissions.openapi` of a function's `config.json` with the interfaces that its
//! source calls, and both with WeChat's catalogue.

use std::{collections::BTreeSet, fs, io, path::Path};

use function::Function;
use openapi::{Standing, code::NO_PERMISSION};
use project::permissions::{self, DeclaredPermission, Misnomer, Permissions};
use wording::{Wording, wording};

use crate::{
    Diagnosis,
    cure::{Cure, Edit},
    source::{Mention, Source},
};

pub(crate) fn examine(
    function: &Function,
    source: &Source,
    found: &mut Vec<Diagnosis>,
    hints: &mut Vec<Diagnosis>,
) {
    let config = function.dir.join(permissions::FILE);
    let mut text = String::new();
    let permissions = match fs::read(&config).map(|bytes| {
        text = String::from_utf8_lossy(&bytes).into_owned();
        Permissions::parse(&bytes)
    }) {
        Ok(Ok(permissions)) => permissions,
        // Until it can be read, what it permits is anybody's guess: nothing else is said of it.
        Ok(Err(fault)) => {
            let what = permissions::ignored(&fault.what);
            return found.push(Diagnosis::new(&config, Some(fault.line), what, fault.mend));
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Permissions::default(),
        Err(error) => {
            let what = wording!("it cannot be read: {error}", "无法读取：{error}");
            let mend = wording!("make it readable", "请检查它的读取权限");
            return found.push(Diagnosis::new(&config, None, what, mend));
        }
    };
    for fault in permissions
        .malformed
        .iter()
        .chain(&permissions::without_effect(text.as_bytes()))
    {
        found.push(Diagnosis::new(
            &config,
            Some(fault.line),
            fault.what.clone(),
            fault.mend.clone(),
        ));
    }

    let mut examined = Examination {
        config: &config,
        called: source.calls.iter().map(|call| call.name.as_str()).collect(),
        declared: permissions.names().collect(),
        expected: BTreeSet::new(),
        sees_all: source.unseen.is_empty(),
        text: &text,
        is_editable: permissions.malformed.is_empty(),
        unused: Vec::new(),
        found,
        hints,
    };
    let mut seen = BTreeSet::new();
    for call in source.calls.iter().filter(|call| seen.insert(&call.name)) {
        examined.call(call);
    }
    let mut seen = BTreeSet::new();
    for declared in &permissions.declared {
        examined.declared(declared, seen.insert(&declared.name));
    }
    examined.unused();
}

struct Examination<'a> {
    config: &'a Path,
    called: BTreeSet<&'a str>,
    declared: BTreeSet<&'a str>,
    /// Names that the author most likely meant to call.
    expected: BTreeSet<&'static str>,
    /// Whether the search of the source could follow everything.
    sees_all: bool,
    /// `config.json` as it is.
    text: &'a str,
    /// Whether `config.json` has the shape that an edit needs.
    is_editable: bool,
    /// What is listed and never called.
    unused: Vec<&'a DeclaredPermission>,
    found: &'a mut Vec<Diagnosis>,
    hints: &'a mut Vec<Diagnosis>,
}

impl<'a> Examination<'a> {
    /// An interface that the source calls; each only once.
    fn call(&mut self, call: &Mention) {
        let Mention { name, file, line } = call;
        let diagnosis = |what: Wording, mend: Wording| Diagnosis::new(file, Some(*line), what, mend);
        if let Some(misnomer) = Misnomer::of(name) {
            self.expected.extend(misnomer.near);
            let misnamed = &misnomer.what;
            let what = wording!("it calls {misnamed}", "代码里调用的 {misnamed}"; misnamed);
            return self.found.push(diagnosis(what, misnomer.mend()));
        }
        if let Some(Standing::Withdrawn(errcode)) = openapi::find(name).map(|api| api.standing) {
            let what = wording!(
                "it calls `{name}`, which WeChat has withdrawn: it is answered with {errcode}",
                "代码里调用的 `{name}` 已被微信下线，调用会返回 {errcode}"
            );
            self.found.push(diagnosis(what, instead_of_withdrawn(name)));
        }
        let is_meant_by_another = || {
            let misnomers = self.declared.iter().filter_map(|declared| Misnomer::of(declared));
            misnomers
                .filter_map(|misnomer| misnomer.near)
                .any(|near| near == name)
        };
        // What stands in a list of another shape is told with that: it is not absent.
        let stands_there = !self.is_editable && self.text.contains(&format!("\"{name}\""));
        if !self.declared.contains(name.as_str()) && !stands_there && !is_meant_by_another() {
            let what = wording!(
                "it calls `{name}`, which is not permitted: it is answered with {NO_PERMISSION}",
                "代码里调用了 `{name}`，但没有声明权限，调用会返回 {NO_PERMISSION}"
            );
            let mend = wording!(
                "add \"{name}\" to permissions.openapi in config.json",
                "请在 config.json 的 permissions.openapi 里加上 \"{name}\""
            );
            self.push(diagnosis(what, mend), Edit::Permit(name.clone()));
        }
    }

    /// A name that `config.json` lists; `is_first` unless it was listed before.
    fn declared(&mut self, declared: &'a DeclaredPermission, is_first: bool) {
        let DeclaredPermission {
            name, written, line, ..
        } = declared;
        let file = self.config;
        let diagnosis = |what: Wording, mend: Wording| Diagnosis::new(file, Some(*line), what, mend);
        if !is_first {
            let what = wording!("`{name}` is listed twice", "`{name}` 声明了两次");
            let repeated = match written == name {
                true => Edit::Unrepeat(name.clone()),
                false => Edit::Forbid(vec![written.clone()]),
            };
            return self.push(diagnosis(what, wording!("remove one", "请删掉一个")), repeated);
        }
        let is_called = self.called.contains(name.as_str());
        if let Some(misnomer) = Misnomer::of(name) {
            let misnamed = misnomer.listed();
            let what = wording!("it lists {misnamed}", "声明的 {misnamed}"; misnamed);
            let found = diagnosis(what, misnomer.mend());
            return match misnomer.near {
                // What there is, is not taken for a typo on likeness alone.
                Some(near) if !misnomer.exists || self.called.contains(near) => {
                    let (from, to) = (written.clone(), near.to_owned());
                    self.push(found, Edit::Rename { from, to });
                }
                // The catalogue may be older than the interface.
                _ if !misnomer.exists => self.found.push(found),
                _ => self.push(found, Edit::Forbid(vec![written.clone()])),
            };
        }
        if !is_called && !self.expected.contains(name.as_str()) && self.sees_all {
            return self.unused.push(declared);
        }
        if written != name {
            let what = wording!(
                "`{written}` is listed: the name is `{name}`, without `openapi.` before it",
                "声明的 `{written}` 多写了 `openapi.`，接口名是 `{name}`"
            );
            let mend = wording!("write \"{name}\"", "请写 \"{name}\"");
            let (from, to) = (written.clone(), name.clone());
            let hint = self.with_cure(diagnosis(what, mend), Edit::Rename { from, to });
            self.hints.push(hint);
        }
    }

    /// What is listed and never called: harmless, and in every project that began as DevTools' template, so one hint for all.
    fn unused(&mut self) {
        let [first, ..] = self.unused[..] else {
            return;
        };
        let names: Vec<_> = self.unused.iter().map(|unused| unused.written.clone()).collect();
        let listed: Vec<_> = names.iter().map(|name| format!("`{name}`")).collect();
        let (listed_en, listed_zh) = (listed.join(", "), listed.join("、"));
        let what = match names.len() {
            1 => wording!(
                "{listed_en} is permitted, but never called",
                "声明了 {listed_zh} 的权限，但代码没有调用它"
            ),
            count => wording!(
                "{count} interfaces are permitted, but never called: {listed_en}",
                "声明了 {count} 个接口的权限，但代码没有调用它们：{listed_zh}"
            ),
        };
        let mend = wording!(
            "remove what is not needed from permissions.openapi",
            "请从 permissions.openapi 里删掉不需要的"
        );
        let hint = Diagnosis::new(self.config, Some(first.line), what, mend);
        let hint = self.with_cure(hint, Edit::Forbid(names));
        self.hints.push(hint);
    }

    /// Tells it, with its cure if the file can be edited.
    fn push(&mut self, diagnosis: Diagnosis, edit: Edit) {
        let diagnosis = self.with_cure(diagnosis, edit);
        self.found.push(diagnosis);
    }

    fn with_cure(&self, diagnosis: Diagnosis, edit: Edit) -> Diagnosis {
        if !self.is_editable {
            return diagnosis;
        }
        diagnosis.cured_by(Cure {
            file: self.config.to_owned(),
            edit,
        })
    }
}

/// What took the place of template and uniform messages, the only interfaces that were withdrawn.
fn instead_of_withdrawn(name: &str) -> Wording {
    match name.split_once('.') {
        Some(("templateMessage" | "uniformMessage", "send")) => {
            wording!(
                "send a subscribe message: `subscribeMessage.send`",
                "请改发订阅消息：`subscribeMessage.send`"
            )
        }
        _ => wording!("take the call out", "请删掉这个调用"),
    }
}
