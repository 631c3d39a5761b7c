//! The page Functions: what there is, how each is set up, what is wrong with it, and how its last calls went.

use std::sync::Arc;

use doctor::{Diagnosis, DoctorReport};
use function::FunctionName;
use gateway::ReplyBody;
use http::Response;
use jiff::{Timestamp, tz::TimeZone};
use maud::{Markup, html};
use project::{Project, ProjectFunction, Trigger};
use runtime::LoadReport;
use tokio::sync::OnceCell;

use crate::{
    Inner,
    lang::Lang,
    layout::{self, Page, Viewer, outcome, span, time},
    web,
};

/// Last calls of a function that are shown.
const LAST: usize = 5;

/// The project as it was loaded last.
#[derive(Debug)]
pub(crate) struct Shown {
    pub(crate) project: Project,
    reports: Vec<LoadReport>,
    /// The functions' source is searched when somebody looks for the first time.
    examined: OnceCell<Option<DoctorReport>>,
}

/// Something that is wrong, with its mend.
struct Wrong {
    place: String,
    what: String,
    mend: String,
}

impl Shown {
    pub(crate) fn new(project: Project, reports: Vec<LoadReport>) -> Self {
        Self {
            project,
            reports,
            examined: OnceCell::new(),
        }
    }

    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.project.functions.keys().map(FunctionName::as_str)
    }

    /// Why a function cannot run, or will fail when it is loaded.
    fn problem(&self, name: &FunctionName) -> Option<String> {
        let report = self.reports.iter().find(|report| report.name == *name);
        let function = self.project.functions.get(name);
        let fault = || Some(report?.faults.first()?.to_string());
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
    pub(crate) async fn curable(self: &Arc<Self>, function: &str) -> Vec<String> {
        let diagnoses = self.diagnoses().await.iter();
        let of_it = diagnoses.filter(|diagnosis| is_curable(diagnosis, function));
        of_it.map(|diagnosis| diagnosis.what.clone()).collect()
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
pub(crate) async fn cure(inner: &Inner, function: &str) -> Result<Vec<String>, String> {
    let shown = inner
        .shown()
        .ok_or_else(|| "the functions are being loaded".to_owned())?;
    let function = function.to_owned();
    let cured = tokio::task::spawn_blocking(move || {
        let mut report = doctor::examine(&shown.project);
        report.hints.clear();
        report
            .diagnoses
            .retain(|diagnosis| is_curable(diagnosis, &function));
        let cured = doctor::cure(&report).map_err(|error| error.to_string())?;
        let root = &shown.project.root;
        let lines = cured.into_iter().map(|cured| {
            let file = cured.file.strip_prefix(root).unwrap_or(&cured.file).display();
            format!("{file}: {}", cured.what)
        });
        Ok(lines.collect())
    });
    cured.await.map_err(|error| error.to_string())?
}

pub(crate) async fn page(inner: &Inner, viewer: &Viewer) -> Response<ReplyBody> {
    let now = list(inner, viewer).await;
    layout::page(viewer, Page::Functions, layout::live("/live/functions", now))
}

/// The part of the page that follows what happens.
pub(crate) async fn list(inner: &Inner, viewer: &Viewer) -> Markup {
    let lang = viewer.lang;
    let Some(shown) = inner.shown() else {
        return html! { p .dim { (lang.t("The functions are being loaded.", "正在加载云函数。")) } };
    };
    let mut cards = Vec::new();
    for listed in shown.project.functions.values() {
        let wrong = shown.findings(Some(&listed.function.name)).await;
        cards.push(card(inner, lang, &shown, listed, &wrong));
    }
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
        div .cards { @for card in &cards { (card) } }
    }
}

fn card(inner: &Inner, lang: Lang, shown: &Shown, listed: &ProjectFunction, wrong: &[Wrong]) -> Markup {
    let ProjectFunction {
        function,
        permissions,
        triggers,
        ..
    } = listed;
    let name = function.name.as_str();
    let problem = shown.problem(&function.name);
    let last = inner.recorder.calls(LAST, |call| call.function == name);
    html! {
        article .card {
            h2 {
                (name) " "
                @match problem {
                    Some(_) => span .badge.bad { "✗ " (lang.t("cannot run", "无法运行")) },
                    None => span .badge.good { "✓ " (lang.t("ready", "就绪")) },
                }
            }
            @if let Some(problem) = &problem { (layout::trouble(problem)) }
            dl .facts {
                div { dt { (lang.t("timeout", "超时")) } dd { (function.timeout.as_secs()) " s" } }
                div { dt { (lang.t("memory", "内存")) } dd { (function.memory_mb) " MB" } }
                div { dt { (lang.t("instances", "实例")) } dd { "≤ " (function.max_instances) } }
                @if function.concurrency > 1 {
                    div { dt { (lang.t("concurrency", "并发")) } dd { (function.concurrency) } }
                }
            }
            @if !triggers.is_empty() {
                h3 { (lang.t("Timers", "定时触发器")) }
                ul .chips { @for trigger in triggers { li { (timer(lang, shown, trigger)) } } }
            }
            (addresses(inner, lang, shown, name))
            @if !permissions.is_empty() {
                h3 { (lang.t("May call", "云调用权限")) }
                ul .chips { @for name in permissions { li { code { (name) } } } }
            }
            (findings(lang, wrong))
            @if !last.is_empty() {
                h3 { (lang.t("Last calls", "最近调用")) }
                ul .last {
                    @for call in &last {
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
            }
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
            Some(next) => span .dim { (lang.t("next ", "下次 ")) time datetime=(next) { (next.to_zoned(TimeZone::system()).strftime("%F %T")) } },
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
                        (wrong.what)
                        @if !wrong.mend.is_empty() { br; span .mend { "→ " (wrong.mend) } }
                    }
                }
            }
        }
    }
}
