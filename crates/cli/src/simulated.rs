//! The simulated WeChat of a project: what `yunqiao.toml` declares of it, and where it is kept what became of it.

use std::path::Path;

use anyhow::bail;
use clock::Clock;
use project::{Project, ProjectError, SimSubscription, SimTemplate, SimUser};
use simulator::{
    Declared, DeclaredFault, DeclaredPart, DeclaredSubscription, NewTemplate, Notice, ProfileChange,
    Simulator, SimulatorSettings, StateError, UserChange,
};
use wording::{Wording, wording};

use crate::{
    data::{Keeping, Opened},
    lang::{self, say, t},
    patience, print, run_file,
};

/// The file of users, templates and subscriptions.
const PEOPLE: &str = "wechat.json";
/// By which the files are one process's: looked at, since no link in the folder is followed.
const LOCK: &str = "wechat.json.lock";
/// The file of what would have reached somebody.
const OUTBOX: &str = "outbox.jsonl";
/// Where declarations stand.
const SETTINGS: &str = "yunqiao.toml";

/// What the project declares.
fn declared(project: &Project) -> Declared {
    let sim = &project.settings.sim;
    let user = |user: &SimUser| UserChange {
        name: user.name.clone(),
        openid: user.openid.clone(),
        unionid: user.unionid.clone(),
        profile: ProfileChange {
            nick_name: user.nick_name.clone(),
            gender: user.gender,
            language: user.language.clone(),
            city: user.city.clone(),
            province: user.province.clone(),
            country: user.country.clone(),
            avatar_url: user.avatar_url.clone(),
        },
        phone: user.phone.clone(),
        steps: user.steps.clone(),
    };
    let template = |template: &SimTemplate| NewTemplate {
        pri_tmpl_id: Some(template.id.clone()),
        title: template.title.clone(),
        content: template.content.clone(),
        example: template.example.clone(),
        kind: Some(template.kind),
    };
    let subscription = |subscription: &SimSubscription| DeclaredSubscription {
        user: subscription.user.clone(),
        template: subscription.template.clone(),
        left: subscription.left,
    };
    Declared {
        users: sim.users.iter().map(user).collect(),
        templates: sim.templates.iter().map(template).collect(),
        subscriptions: sim.subscriptions.iter().map(subscription).collect(),
    }
}

/// A fault where it stands in `toml`.
fn refusal(project: &Project, toml: &Path, fault: DeclaredFault) -> ProjectError {
    let sim = &project.settings.sim;
    let (line, key) = match fault.part {
        DeclaredPart::User(at) => (sim.users[at].line, format!("sim.users.{}", sim.users[at].name)),
        DeclaredPart::Template(at) => {
            let template = &sim.templates[at];
            (template.line, format!("sim.templates.{}", template.id))
        }
        DeclaredPart::Subscription(at) => {
            let subscription = &sim.subscriptions[at];
            (
                subscription.line,
                format!("sim.subscriptions.{}", subscription.user),
            )
        }
        _ => (1, "sim".to_owned()),
    };
    let why = fault.why;
    ProjectError::Setting {
        path: toml.to_owned(),
        line,
        what: wording!("`{key}`: {why}", "`{key}`：{why}"; why),
        mend: Wording::default(),
    }
}

/// Tries what is declared on a simulated WeChat of its own.
///
/// # Errors
/// All that cannot be, with the lines of `toml`.
pub(crate) fn check(project: &Project, toml: &Path) -> Result<(), ProjectError> {
    let settings = crate::stack::simulator_settings(project, project::ForeignCodes::Refuse);
    let faults = match Simulator::new(settings, Clock::system(), |_| {}).declare(&declared(project)) {
        Ok(()) => return Ok(()),
        Err(faults) => faults,
    };
    let mut refusals: Vec<_> = faults
        .into_iter()
        .map(|fault| refusal(project, toml, fault))
        .collect();
    Err(match refusals.len() {
        1 => refusals.remove(0),
        _ => ProjectError::Several(refusals),
    })
}

/// The simulated WeChat with what is declared, and with what was kept of it.
///
/// # Errors
/// What was kept cannot be read, or does not go together with what is declared.
pub(crate) async fn open(
    project: &Project,
    keeping: Keeping,
    settings: SimulatorSettings,
    clock: Clock,
    tell: impl Fn(Notice) + Clone + Send + Sync + 'static,
) -> anyhow::Result<Opened<Simulator>> {
    let people = keeping.place(project, None, PEOPLE)?;
    keeping.place(project, None, LOCK)?;
    let outbox = keeping.place(project, None, OUTBOX)?;
    let (access, lasts) = match (&people, &outbox) {
        (Some(people), Some(outbox)) => {
            let is_ending = |error: &StateError| {
                matches!(error, StateError::InUse { .. }) && run_file::running(&project.root).is_none()
            };
            let open = || {
                let (settings, clock, tell) = (settings.clone(), clock.clone(), tell.clone());
                Simulator::with_state(people, Some(outbox), settings, clock, tell)
            };
            match patience::opened(is_ending, open).await {
                Err(StateError::InUse { path }) => {
                    let path = path.display();
                    print::warning(
                        say!(
                            "{path} is open in another process, so users, templates, subscriptions and the outbox are kept in memory here",
                            "{path} 已被另一个进程打开，因此这里的用户、模板、订阅和发件箱只存在内存里"
                        ),
                        t(
                            "end the other `yunqiao dev` first to go on with them",
                            "要继续使用原有的，请先结束另一个 `yunqiao dev`",
                        ),
                    );
                    (Simulator::new(settings, clock, tell), false)
                }
                opened => (opened?, true),
            }
        }
        _ => (Simulator::new(settings, clock, tell), false),
    };
    declare_beside_kept(project, &access)?;
    Ok(Opened { access, lasts })
}

/// What was kept of the project's simulated WeChat, with what is declared; `None` where nothing was, and there is no wish to begin.
///
/// # Errors
/// As of [`open`]; and where another process has it.
pub(crate) fn alone(project: &Project, for_writing: bool) -> anyhow::Result<Option<Simulator>> {
    let folder = project.root.join(crate::folder::NAME);
    if !for_writing && !folder.join(PEOPLE).exists() && !folder.join(OUTBOX).exists() {
        return Ok(None);
    }
    let keeping = Keeping::InProject;
    keeping.place(project, None, LOCK)?;
    let (Some(people), Some(outbox)) = (
        keeping.place(project, None, PEOPLE)?,
        keeping.place(project, None, OUTBOX)?,
    ) else {
        return Ok(None);
    };
    let settings = crate::stack::simulator_settings(project, project::ForeignCodes::Refuse);
    let tell = |notice: Notice| print::warning(lang::of(notice.wording()), "");
    let simulator = match Simulator::with_state(&people, Some(&outbox), settings, Clock::system(), tell) {
        Err(StateError::InUse { path }) => {
            let path = path.display();
            bail!(say!(
                "{path} is open in another process, such as a `yunqiao dev` that has begun and does not serve yet: wait for its `ready`, or end it",
                "{path} 已被另一个进程打开，比如正在启动的 `yunqiao dev`：请等它打印 `ready`，或结束它"
            ));
        }
        opened => opened?,
    };
    declare_beside_kept(project, &simulator)?;
    Ok(Some(simulator))
}

/// Has what the project declares be there.
///
/// # Errors
/// It does not go together with what is there; the lines of `yunqiao.toml`.
pub(crate) fn declare(project: &Project, simulator: &Simulator) -> Result<(), Wording> {
    let Err(faults) = simulator.declare(&declared(project)) else {
        return Ok(());
    };
    let toml = project.root.join(SETTINGS);
    let faults = faults.into_iter();
    Err(Wording::lines(
        faults.map(|fault| refusal(project, &toml, fault).wording()),
    ))
}

/// The same, beside what was kept.
fn declare_beside_kept(project: &Project, simulator: &Simulator) -> Result<(), Wording> {
    declare(project, simulator).map_err(|why| {
        wording!(
            "{why} — by what was kept of the simulated WeChat (.yunqiao/{PEOPLE}): change one of the two, or start with --fresh",
            "{why} —— 与保存的模拟微信（.yunqiao/{PEOPLE}）冲突：请改其中一个，或用 --fresh 启动"; why
        )
    })
}

/// Has what a project that was read again declares be there, where it declares something else than before.
pub(crate) fn declare_anew(before: &Project, project: &Project, simulator: &Simulator) {
    if declared(before) == declared(project) {
        return;
    }
    match declare_beside_kept(project, simulator) {
        Ok(()) => print::done(t(
            "what [sim] declares has changed, and is there from now on",
            "[sim] 里声明的有改动，已生效",
        )),
        Err(why) => print::warning(lang::of(&why), ""),
    }
}
