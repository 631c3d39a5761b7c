//! Functions behind a route of HTTP access that asks for a login. Whoever may call such a function as a client hands it an event of their own,
//! which can be written like a request: with the path that the route guards, and with a login in `x-cloudbase-context`. A hint: the function
//! may tell the two apart.

use project::Project;
use wording::wording;

use crate::Diagnosis;

/// Says which functions clients may call past their route.
pub(crate) fn examine(project: &Project) -> Vec<Diagnosis> {
    let settings = &project.settings;
    let guarded = settings.web.functions.iter().filter(|route| route.auth);
    let open = guarded.filter_map(|route| {
        let listed = project
            .functions
            .values()
            .find(|listed| listed.function.name.as_str() == route.function)?;
        let rule = settings.function_rules.of(&route.function).text();
        (rule != "false").then_some((route, listed))
    });
    open.map(|(route, listed)| {
        let (name, path) = (&route.function, &route.path);
        Diagnosis {
            function: Some(listed.function.name.clone()),
            ..Diagnosis::new(
                &listed.function.dir,
                None,
                wording!(
                    "{path} asks for a login, and clients may call {name} past it: by callFunction, with an event that is written like a request",
                    "路由 {path} 要求登录，但客户端可以绕过它，用 callFunction 直接调用 {name}，并伪造成 HTTP 请求的 event"
                ),
                wording!(
                    "where only HTTP access is to reach it, write [functions.{name}] invoke = false; else have it test SOURCE of getWXContext(), which is wx_http there",
                    "如果只应经 HTTP 访问，请写 [functions.{name}] invoke = false；否则请在函数里检查 getWXContext() 的 SOURCE（经 HTTP 访问时是 wx_http）"
                ),
            )
        }
    })
    .collect()
}
