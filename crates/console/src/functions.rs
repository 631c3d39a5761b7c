//! The page Functions: what there is, how each is set up, what is wrong with it, and how its last calls went.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use doctor::{Diagnosis, DoctorReport};
use function::{
    DEFAULT_CONCURRENCY, DEFAULT_MAX_INSTANCES, DEFAULT_MEMORY_MB, DEFAULT_TIMEOUT, Function, FunctionName,
};
use gateway::ReplyBody;
use http::Response;
use jiff::Timestamp;
use maud::{Markup, html};
use project::{Project, ProjectFunction, Trigger};
use runtime::LoadReport;
use tokio::sync::OnceCell;
use wording::Wording;

use crate::{
    Inner,
    lang::Lang,
    layout::{self, Page, Viewer, outcome, span, time},
    mend::Mend,
    recorder::Call,
    web,
};

/// Last calls of a function that are shown.
const LAST: usize = 5;

/// The project as it was loaded last.
#[derive(Debug)]
pub(crate) struct Shown {
    pub(crate) project: Project,
    reports: Vec<LoadReport>,
    /// Since when each is what it is.
    since: BTreeMap<FunctionName, Timestamp>,
    /// The functions' source is searched when somebody looks for the first time.
    examined: OnceCell<Option<DoctorReport>>,
}

/// Something that is wrong, with its mend.
struct Wrong {
    place: String,
    /// Whether the doctor can mend it in the files.
    curable: bool,
    what: Wording,
    mend: Wording,
}

impl Shown {
    /// The project in the place of the one that was shown `before`.
    pub(crate) fn new(project: Project, reports: Vec<LoadReport>, before: Option<&Self>) -> Self {
        let now = Timestamp::now();
        let since = |report: &LoadReport| {
            let before = before.filter(|_| !report.changed);
            let before = before.and_then(|before| before.since.get(&report.name));
            (report.name.clone(), before.copied().unwrap_or(now))
        };
        Self {
            project,
            since: reports.iter().map(since).collect(),
            reports,
            examined: OnceCell::new(),
        }
    }

    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.project.functions.keys().map(FunctionName::as_str)
    }

    /// Since when a function is what it is.
    fn loaded_at(&self, name: &FunctionName) -> Timestamp {
        self.since.get(name).copied().unwrap_or(Timestamp::MAX)
    }

    /// Why a function cannot run, or will fail when it is loaded.
    fn problem(&self, name: &FunctionName) -> Option<Wording> {
        let report = self.reports.iter().find(|report| report.name == *name);
        let function = self.project.functions.get(name);
        let fault = || Some(report?.faults.first()?.wording());
        report
            .and_then(|report| report.problem.clone())
            .or_else(|| function?.function.problem.clone())
            .or_else(fault)
    }

    /// What the doctor found when somebody looked for the first time.
    async fn diagnoses(self: &Arc<Self>) -> &[Diagnosis] {
        let this = Arc::clone(self);
        let examine = async || {
            let examined = tokio::task::spawn_blocking(move || doctor::examine(&this.project));
            examined.await.ok()
        };
        let report = self.examined.get_or_init(examine).await.as_ref();
        report.map_or(&[][..], |report| &report.diagnoses)
    }

    /// What is wrong with a function and can be mended by the doctor.
    pub(crate) async fn curable(self: &Arc<Self>, function: &str, lang: Lang) -> Vec<String> {
        let diagnoses = self.diagnoses().await.iter();
        let of_it = diagnoses.filter(|diagnosis| is_curable(diagnosis, function));
        of_it
            .map(|diagnosis| lang.of_wording(&diagnosis.what).to_owned())
            .collect()
    }

    /// What the doctor says of a function, or of the project as a whole.
    async fn findings(self: &Arc<Self>, of: Option<&FunctionName>) -> Vec<Wrong> {
        let diagnoses = self.diagnoses().await;
        let of_it = diagnoses
            .iter()
            .filter(|diagnosis| diagnosis.function.as_ref() == of);
        let shown = of_it.map(|diagnosis| {
            let file = diagnosis.file.strip_prefix(&self.project.root);
            let file = file.unwrap_or(&diagnosis.file).display();
            Wrong {
                place: match diagnosis.line {
                    Some(line) => format!("{file}:{line}"),
                    None => file.to_string(),
                },
                curable: diagnosis.is_curable(),
                what: diagnosis.what.clone(),
                mend: diagnosis.mend.clone(),
            }
        });
        shown.collect()
    }
}

fn is_curable(diagnosis: &Diagnosis, function: &str) -> bool {
    let of = diagnosis.function.as_ref().map(FunctionName::as_str);
    diagnosis.is_curable() && of == Some(function)
}

/// Has the doctor mend what it can of a function, in the project's files as they are now; what was done, line by line.
pub(crate) async fn cure(inner: &Inner, function: &str, lang: Lang) -> Result<Vec<String>, String> {
    let shown = inner.shown().ok_or_else(|| {
        lang.t("The functions are being loaded.", "正在加载云函数。")
            .to_owned()
    })?;
    let function = function.to_owned();
    let cured = tokio::task::spawn_blocking(move || {
        let mut report = doctor::examine(&shown.project);
        report.hints.clear();
        report
            .diagnoses
            .retain(|diagnosis| is_curable(diagnosis, &function));
        let cured = doctor::cure(&report).map_err(|error| lang.of_wording(&error.wording()).to_owned())?;
        let root = &shown.project.root;
        let lines = cured.into_iter().map(|cured| {
            let file = cured.file.strip_prefix(root).unwrap_or(&cured.file).display();
            format!("{file}: {}", lang.of_wording(&cured.what))
        });
        Ok(lines.collect())
    });
    cured.await.map_err(|error| error.to_string())?
}

pub(crate) async fn page(inner: &Inner, viewer: &Viewer) -> Response<ReplyBody> {
    let now = list(inner, viewer).await;
    let search = viewer.lang.t("Search functions", "搜索云函数");
    let content = html! {
        input #search type="search" data-filters=".function" placeholder=(search) aria-label=(search) autocomplete="off" spellcheck="false";
        // Not within what follows what happens: a mended function is loaded anew, and what was said of it would be gone.
        div #said .stays {}
        (layout::live("/live/functions", now))
    };
    layout::page(viewer, Page::Functions, content)
}

/// What is known of a function's state, what is broken first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum State {
    /// It cannot run, or will fail when it is loaded.
    Broken,
    /// Its last call failed.
    Failed,
    /// Something is wrong with it, and it runs.
    Doubtful,
    /// A call of it went well since it was loaded last.
    Loaded,
    /// It is prepared; its first call loads it.
    Prepared,
}

impl State {
    fn of(problem: bool, wrong: bool, last: Option<&Call>) -> Self {
        match last {
            _ if problem => Self::Broken,
            Some(call) if call.failed() => Self::Failed,
            _ if wrong => Self::Doubtful,
            Some(_) => Self::Loaded,
            None => Self::Prepared,
        }
    }

    fn badge(self, lang: Lang) -> Markup {
        match self {
            Self::Broken => html! { span .badge.bad { "✗ " (lang.t("cannot run", "无法运行")) } },
            Self::Failed => {
                html! { span .badge.bad { "✗ " (lang.t("last call failed", "最近一次调用失败")) } }
            }
            Self::Doubtful => html! { span .badge.warn { "! " (lang.t("something is wrong", "有问题")) } },
            Self::Loaded => html! { span .badge.good { "✓ " (lang.t("loaded", "已加载")) } },
            Self::Prepared => {
                html! { span .badge.dim title=(lang.t("Its first call loads it.", "首次调用时加载。")) { (lang.t("not loaded yet", "尚未加载")) } }
            }
        }
    }
}

/// The part of the page that follows what happens.
pub(crate) async fn list(inner: &Inner, viewer: &Viewer) -> Markup {
    let lang = viewer.lang;
    let Some(shown) = inner.shown() else {
        return html! { p .dim { (lang.t("The functions are being loaded.", "正在加载云函数。")) } };
    };
    let last_of_each = last_calls(inner);
    let mut cards = Vec::new();
    for listed in shown.project.functions.values() {
        let name = listed.function.name.as_str();
        let wrong = shown.findings(Some(&listed.function.name)).await;
        let last = last_of_each.get(name).map_or(&[][..], Vec::as_slice);
        let since = shown.loaded_at(&listed.function.name);
        let problem = shown.problem(&listed.function.name);
        // What an older version did says nothing of this one.
        let newest = last.first().filter(|call| call.ran_from() >= since);
        let state = State::of(problem.is_some(), !wrong.is_empty(), newest.map(|call| &**call));
        cards.push((
            state,
            card(
                inner,
                viewer,
                &shown,
                listed,
                state,
                problem.as_ref(),
                &wrong,
                last,
            ),
        ));
    }
    // By name among those of one state.
    cards.sort_by_key(|(state, _)| (*state).min(State::Loaded));
    let whole = shown.findings(None).await;
    let project = &shown.project;
    html! {
        p .dim {
            code { (project.appid.as_deref().unwrap_or("–")) } " · "
            (lang.t("environment", "环境")) " " code { (project.env_id) } " · "
            code { (std::path::absolute(&project.root).as_ref().unwrap_or(&project.root).display()) }
        }
        @if let Some(why) = inner.stale() {
            (layout::trouble(&format!("{}{why}", lang.t("Not reloaded, what was loaded before goes on: ", "未重新加载，沿用之前的版本："))))
        }
        (findings(lang, &whole))
        @if cards.is_empty() { p { (lang.t("There are no functions.", "没有云函数。")) } }
        div .cards { @for (_, card) in &cards { (card) } }
    }
}

/// The last calls of each function, the newest first.
fn last_calls(inner: &Inner) -> HashMap<String, Vec<Arc<Call>>> {
    let mut last: HashMap<String, Vec<Arc<Call>>> = HashMap::new();
    for call in inner.recorder.calls(usize::MAX, |_| true) {
        match last.get_mut(&call.function) {
            Some(calls) if calls.len() == LAST => {}
            Some(calls) => calls.push(call),
            None => {
                last.insert(call.function.clone(), vec![call]);
            }
        }
    }
    last
}

#[expect(clippy::too_many_arguments, reason = "each is a part of the card")]
fn card(
    inner: &Inner,
    viewer: &Viewer,
    shown: &Shown,
    listed: &ProjectFunction,
    state: State,
    problem: Option<&Wording>,
    wrong: &[Wrong],
    last: &[Arc<Call>],
) -> Markup {
    let lang = viewer.lang;
    let ProjectFunction {
        function,
        permissions,
        triggers,
        ..
    } = listed;
    let name = function.name.as_str();
    html! {
        article .card.function data-name=(name) {
            h2 { (name) " " (state.badge(lang)) }
            @if let Some(problem) = problem { (layout::trouble(lang.of_wording(problem))) }
            (facts(lang, function))
            @if !triggers.is_empty() {
                h3 { (lang.t("Timers", "定时触发器")) }
                ul .chips { @for trigger in triggers { li { (timer(lang, shown, trigger)) } } }
            }
            (addresses(inner, lang, shown, name))
            @if !permissions.is_empty() {
                details id={ "may-" (name) } {
                    summary { (lang.t("May call", "云调用权限")) " · " (permissions.len()) }
                    ul .chips { @for name in permissions { li { code { (name) } } } }
                }
            }
            (findings(lang, wrong))
            @if viewer.simulated && wrong.iter().any(|wrong| wrong.curable) {
                (Mend::Files(name).button(lang, "#said"))
            }
            @if !last.is_empty() {
                h3 { (lang.t("Last calls", "最近调用")) }
                ul .last {
                    @for call in last {
                        li {
                            a href=(web::link("/calls", &[("call", &call.request_id)])) { (time(call.at)) }
                            " " (outcome(lang, call.failed())) " " span .dim { (span(call.ran)) }
                        }
                    }
                }
            }
            p .actions {
                @if problem.is_none() {
                    a .button id={ "call-" (name) } href=(web::link("/call", &[("function", name)])) { (lang.t("Call", "调用")) }
                }
                a id={ "calls-" (name) } href=(web::link("/calls", &[("function", name)])) { (lang.t("All calls", "全部调用")) }
                a href=(web::link("/calls", &[("view", "logs"), ("function", name)])) { (lang.t("Logs", "日志")) }
            }
        }
    }
}

/// What differs from the platform's defaults.
fn facts(lang: Lang, function: &Function) -> Markup {
    let mut facts: Vec<(&str, String)> = Vec::new();
    if function.timeout != DEFAULT_TIMEOUT {
        facts.push((
            lang.t("timeout", "超时"),
            format!("{} s", function.timeout.as_secs()),
        ));
    }
    if function.memory_mb != DEFAULT_MEMORY_MB {
        facts.push((lang.t("memory", "内存"), format!("{} MB", function.memory_mb)));
    }
    if function.max_instances != DEFAULT_MAX_INSTANCES {
        facts.push((
            lang.t("instances", "实例"),
            format!("≤ {}", function.max_instances),
        ));
    }
    if function.concurrency != DEFAULT_CONCURRENCY {
        facts.push((lang.t("concurrency", "并发"), function.concurrency.to_string()));
    }
    html! {
        @if !facts.is_empty() {
            dl .facts { @for (name, value) in &facts { div { dt { (name) } dd { (value) } } } }
        }
    }
}

/// Where a function is called by HTTP.
fn addresses(inner: &Inner, lang: Lang, shown: &Shown, name: &str) -> Markup {
    let routes = &shown.project.settings.web.functions;
    let routes: Vec<_> = routes.iter().filter(|route| route.function == name).collect();
    let base = inner
        .gateway
        .web_address()
        .map(|address| format!("http://{address}"));
    html! {
        @if !routes.is_empty() {
            h3 { (lang.t("HTTP access", "云接入")) }
            ul .chips {
                @for route in routes {
                    li {
                        @match &base {
                            Some(base) => a href={ (base) (route.path) } { (base) (route.path) },
                            None => code { (route.path) },
                        }
                        @if route.auth { " " span .dim { (lang.t("login wanted", "需要登录")) } }
                    }
                }
            }
        }
    }
}

/// A timer, and when it fires next.
fn timer(lang: Lang, shown: &Shown, trigger: &Trigger) -> Markup {
    let zone = &shown.project.settings.timers.zone;
    let next = trigger.cron.next_after(Timestamp::now(), zone);
    html! {
        code { (trigger.name) } " "
        @match next {
            Some(next) => span .dim { (lang.t("next ", "下次 ")) time datetime=(next) { (next.to_zoned(zone.clone()).strftime("%F %T")) } " "
                @match zone.iana_name() { Some(name) => (name), None => (next.to_zoned(zone.clone()).strftime("UTC%:z")) } },
            None => span .dim { (lang.t("never again", "不再触发")) },
        }
    }
}

fn findings(lang: Lang, wrong: &[Wrong]) -> Markup {
    html! {
        @if !wrong.is_empty() {
            h3 { (lang.t("Doctor", "诊断")) }
            ul .findings {
                @for wrong in wrong {
                    li {
                        code .dim { (wrong.place) } br;
                        (lang.of_wording(&wrong.what))
                        @if !wrong.mend.is_empty() { br; span .mend { "→ " (lang.of_wording(&wrong.mend)) } }
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_broken_comes_first_and_loaded_means_that_a_call_went_well() {
        let good = Call::new("1".to_owned(), "f".to_owned(), Timestamp::UNIX_EPOCH);
        let failed = Call {
            error: Some((-504_002, "Error: no".to_owned())),
            ..good.clone()
        };
        for (problem, wrong, last, state) in [
            (true, true, Some(&good), State::Broken),
            (true, false, None, State::Broken),
            (false, true, Some(&failed), State::Failed),
            (false, true, Some(&good), State::Doubtful),
            (false, true, None, State::Doubtful),
            (false, false, Some(&good), State::Loaded),
            (false, false, None, State::Prepared),
        ] {
            assert_eq!(State::of(problem, wrong, last), state);
        }
        let mut states = [
            State::Prepared,
            State::Doubtful,
            State::Broken,
            State::Loaded,
            State::Failed,
        ];
        states.sort_unstable();
        assert_eq!(states[..3], [State::Broken, State::Failed, State::Doubtful]);
    }
}
