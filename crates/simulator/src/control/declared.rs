//! What a project declares of its simulated WeChat: users, templates, and who has subscribed to what.
//!
//! Declared things are there at each start, beside what was kept from the start before. What a declaration names is as it says,
//! whatever was changed by hand in the meantime; what it does not name stays as it was.

use wording::{Wording, wording};

use crate::{Simulator, World, people::users::UserChange, server::templates::NewTemplate};

/// What is declared, in the order in which it comes about.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Declared {
    /// Users beside Alice and Bob, or what shall be different about those.
    pub users: Vec<UserChange>,
    /// Templates, with their ids.
    pub templates: Vec<NewTemplate>,
    /// What users accepted.
    pub subscriptions: Vec<DeclaredSubscription>,
}

/// That a user has accepted messages of a template.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeclaredSubscription {
    /// The user's name.
    pub user: String,
    /// The template's id.
    pub template: String,
    /// How many messages may be sent at least, of a one-time template.
    pub left: u32,
}

/// Something declared that cannot be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeclaredFault {
    /// What it is about.
    pub part: DeclaredPart,
    /// Why it cannot be, with the mend.
    pub why: Wording,
}

/// A part of [`Declared`], by its place in there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum DeclaredPart {
    /// Of `users`.
    User(usize),
    /// Of `templates`.
    Template(usize),
    /// Of `subscriptions`.
    Subscription(usize),
}

impl Simulator {
    /// Has what is declared be there. What can be is there also where something else cannot.
    ///
    /// # Errors
    /// All that cannot be, in its order.
    pub fn declare(&self, declared: &Declared) -> Result<(), Vec<DeclaredFault>> {
        let faults = apply(&mut self.world(), declared);
        if let Some(file) = &self.0.state {
            file.tell_of_saving(self);
        }
        match faults.is_empty() {
            true => Ok(()),
            false => Err(faults),
        }
    }
}

pub(crate) fn apply(world: &mut World, declared: &Declared) -> Vec<DeclaredFault> {
    let mut faults = Vec::new();
    for (at, user) in declared.users.iter().enumerate() {
        if let Err(why) = world.users.change(user.clone()) {
            faults.push(DeclaredFault {
                part: DeclaredPart::User(at),
                why: Wording {
                    en: why.to_string(),
                    zh: why.in_chinese(),
                },
            });
        }
    }
    for (at, template) in declared.templates.iter().enumerate() {
        if let Err(why) = world.templates.declare(template.clone()) {
            faults.push(DeclaredFault {
                part: DeclaredPart::Template(at),
                why: Wording {
                    en: why.to_string(),
                    zh: why.in_chinese(),
                },
            });
        }
    }
    for (at, subscription) in declared.subscriptions.iter().enumerate() {
        if let Err(why) = subscribe(world, subscription) {
            let part = DeclaredPart::Subscription(at);
            faults.push(DeclaredFault { part, why });
        }
    }
    faults
}

fn subscribe(world: &mut World, subscription: &DeclaredSubscription) -> Result<(), Wording> {
    let DeclaredSubscription { user, template, left } = subscription;
    let Some(openid) = world.users.named(user).map(|user| user.openid.clone()) else {
        let known = world.users.names();
        return Err(wording!(
            "there is no user {user:?}: there are {known}; declare one as [sim.users.{user}]",
            "没有用户 {user:?}；现有：{known}；可在 [sim.users.{user}] 声明"
        ));
    };
    let declared = world.templates.declare_left(&openid, template, *left);
    declared.map_err(|_| {
        wording!(
            "there is no template {template:?}: declare it as [sim.templates.{template}]",
            "没有模板 {template:?}：请在 [sim.templates.{template}] 声明"
        )
    })
}
