//! `$regexMatch`, `$regexFind`, `$regexFindAll`. A pattern that is the same for every document is compiled once.

use std::borrow::Cow;

use bson::{Bson, Document};

use super::{
    Meter, Node, Scope, Value,
    text::string,
    value::{fail, made, null, nullish, type_of},
};
use crate::{
    Context,
    error::Result,
    regex::{self, Pattern},
};

/// What an operator gives of the matches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wanted {
    /// If there is one.
    Any,
    First,
    All,
}

impl Wanted {
    const fn operator(self) -> &'static str {
        match self {
            Self::Any => "$regexMatch",
            Self::First => "$regexFind",
            Self::All => "$regexFindAll",
        }
    }
}

/// Where the pattern comes from.
#[derive(Clone, Debug)]
pub(super) enum Source {
    /// The same for every document; `None` where it is null, which matches nothing.
    Constant(Option<Box<Pattern>>),
    /// The pattern and its options.
    Computed(Box<(Node, Option<Node>)>),
}

/// A parsed search.
#[derive(Clone, Debug)]
pub(super) struct Search {
    wanted: Wanted,
    pub(super) input: Node,
    pub(super) source: Source,
}

impl Search {
    /// A search for a pattern; one that is constant is compiled here, and refused here.
    pub(super) fn new(wanted: Wanted, input: Node, pattern: Node, options: Option<Node>) -> Result<Self> {
        let constant = |node: &Node| match node {
            Node::Constant(value) => Some(Some(Cow::Owned(value.clone()))),
            Node::Missing => Some(None),
            _ => None,
        };
        let source = match (constant(&pattern), options.as_ref().map(constant)) {
            (Some(pattern), None) => Source::Constant(compile(wanted, &pattern, None)?),
            (Some(pattern), Some(Some(options))) => {
                Source::Constant(compile(wanted, &pattern, Some(&options))?)
            }
            _ => Source::Computed(Box::new((pattern, options))),
        };
        Ok(Self {
            wanted,
            input,
            source,
        })
    }

    pub(super) fn evaluate<'a>(&'a self, scope: &Scope<'a>) -> Result<Value<'a>> {
        let input = self.input.evaluate(scope)?;
        let text = match string(&input) {
            Some(text) => Some(text),
            None if nullish(&input) => None,
            None => {
                return fail(
                    51104,
                    format!(
                        "{} needs 'input' to be of type string, not {}",
                        self.wanted.operator(),
                        type_of(&input)
                    ),
                );
            }
        };
        let computed;
        let pattern = match &self.source {
            Source::Constant(pattern) => pattern.as_deref(),
            Source::Computed(both) => {
                let (pattern, options) = &**both;
                let pattern = pattern.evaluate(scope)?;
                let options = options
                    .as_ref()
                    .map(|options| options.evaluate(scope))
                    .transpose()?;
                scope.context.spend_if_strict(regex::COMPILING)?;
                computed = compile(self.wanted, &pattern, options.as_ref())?;
                computed.as_deref()
            }
        };
        match (text, pattern) {
            (Some(text), Some(pattern)) => search(self.wanted, text, pattern, scope.context),
            _ => match self.wanted {
                Wanted::Any => made(false),
                Wanted::First => null(),
                Wanted::All => made(Vec::<Bson>::new()),
            },
        }
    }
}

/// The pattern of two arguments; `None` where it is null.
fn compile(wanted: Wanted, pattern: &Value<'_>, options: Option<&Value<'_>>) -> Result<Option<Box<Pattern>>> {
    let operator = wanted.operator();
    let (source, mut flags) = match pattern.as_deref() {
        None | Some(Bson::Null | Bson::Undefined) => (None, ""),
        Some(Bson::String(pattern)) => (Some(pattern.as_str()), ""),
        Some(Bson::RegularExpression(regex)) => (Some(regex.pattern.as_str()), regex.options.as_str()),
        Some(_) => {
            return fail(
                51105,
                format!(
                    "{operator} needs 'regex' to be of type string or regex, not {}",
                    type_of(pattern)
                ),
            );
        }
    };
    if let Some(options) = options.filter(|options| !nullish(options)) {
        let Some(options) = string(options) else {
            return fail(
                51106,
                format!(
                    "{operator} needs 'options' to be of type string, not {}",
                    type_of(options)
                ),
            );
        };
        if !flags.is_empty() && !options.is_empty() {
            return fail(
                51107,
                format!("{operator}: found regex option(s) specified in both 'regex' and 'option' fields"),
            );
        }
        flags = options;
    }
    source
        .map(|source| Pattern::new(source, flags).map(Box::new))
        .transpose()
}

fn search<'a>(wanted: Wanted, text: &str, pattern: &Pattern, context: &Context) -> Result<Value<'a>> {
    if wanted == Wanted::Any {
        return made(pattern.matches_in(text, context)?);
    }
    let mut found = Vec::new();
    let mut meter = Meter::default();
    // Places are told in code points, counted on from match to match.
    let (mut bytes, mut points) = (0, 0);
    for captures in pattern.captures(text, context)? {
        let captures = captures?;
        let Some(whole) = captures.get(0) else { break };
        points += text
            .get(bytes..whole.start())
            .map_or(0, |between| between.chars().count());
        bytes = whole.start();
        let groups = captures
            .iter()
            .skip(1)
            .map(|group| group.map_or(Bson::Null, |group| Bson::String(group.as_str().to_owned())));
        let mut one = Document::new();
        one.insert("match", whole.as_str());
        one.insert("idx", points as i32);
        one.insert("captures", groups.collect::<Vec<_>>());
        let one = Bson::Document(one);
        meter.add(&one, wanted.operator())?;
        found.push(one);
        if wanted == Wanted::First {
            break;
        }
    }
    match wanted {
        Wanted::All => made(found),
        _ => Ok(Some(Cow::Owned(found.pop().unwrap_or(Bson::Null)))),
    }
}
