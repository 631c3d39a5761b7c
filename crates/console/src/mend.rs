//! Buttons that mend what made a call fail: the project's files, by the doctor, or a collection that is missing. They stand beside a call
//! and on the page Functions.

use gateway::ReplyBody;
use http::{Response, StatusCode};
use maud::{Markup, html};

use crate::{
    Inner, data, functions,
    lang::Lang,
    layout::{Viewer, trouble},
    missing,
    web::{self, Fields},
};

/// What a button does.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Mend<'a> {
    /// Mends in the project's files what the doctor can mend of this function.
    Files(&'a str),
    /// Makes the collection of this name.
    Collection(&'a str),
}

impl<'a> Mend<'a> {
    /// What was asked for by a button. What is in the files is the developer's own business, and in production nobody's of the console.
    fn asked(viewer: &Viewer, form: &'a Fields) -> Option<Self> {
        let name = form.get("name");
        match form.get("what") {
            "files" if viewer.simulated => Some(Self::Files(name)),
            "collection" => Some(Self::Collection(name)),
            _ => None,
        }
    }

    /// The button. What is said when it was pressed is shown at `target`.
    pub(crate) fn button(self, lang: Lang, target: &str) -> Markup {
        let (what, name) = match self {
            Self::Files(name) => ("files", name),
            Self::Collection(name) => ("collection", name),
        };
        html! {
            form .mend hx-post="/calls/mend" hx-target=(target) hx-swap="innerHTML" hx-select="unset" hx-push-url="false" {
                input type="hidden" name="what" value=(what);
                input type="hidden" name="name" value=(name);
                button .button.small id={ "mend-" (what) "-" (name) } {
                    @match self {
                        Self::Files(_) => (lang.t("Mend it in the files", "自动修复")),
                        Self::Collection(name) => { (lang.t("Make the collection", "新建集合")) " " (name) }
                    }
                }
            }
        }
    }
}

/// Does what a button says, and says what was done.
pub(crate) async fn answer(inner: &Inner, viewer: &Viewer, form: &Fields) -> Response<ReplyBody> {
    let lang = viewer.lang;
    let said = match Mend::asked(viewer, form) {
        None => return missing(viewer),
        Some(Mend::Collection(name)) => data::make_collection(inner, lang, name).await,
        Some(Mend::Files(name)) => match functions::cure(inner, name, lang).await {
            Ok(done) => {
                html! {
                    div .notice role="status" {
                        strong { (name) }
                        @for line in &done { p .good { "✓ " (line) } }
                        @if done.is_empty() { p { (lang.t("Nothing was left to mend.", "已经没有需要修复的内容。")) } }
                    }
                }
            }
            Err(error) => trouble(&error),
        },
    };
    web::html(StatusCode::OK, said)
}
