//! The evaluation of the tree.

use std::borrow::Cow;

use bson::{Bson, Document};

use super::{
    FieldPath, Frame, Node, Scope, Value, array,
    value::{Meter, check_depth, fail, int32, made, null, nullish, truth, type_of},
};
use crate::{error::Result, order};

impl Node {
    pub(super) fn evaluate<'a>(&'a self, scope: &Scope<'a>) -> Result<Value<'a>> {
        scope.context.spend_if_strict(1)?;
        match self {
            Self::Constant(value) => Ok(Some(Cow::Borrowed(value))),
            Self::Missing => Ok(None),
            Self::Field(path) => Ok(path.get(scope.root)),
            Self::Root => made(scope.root.clone()),
            Self::Now => made(scope.context.now),
            Self::Random => made(scope.context.random_unit()),
            Self::Inner { frame, slot, path } => Ok(inner(scope, *frame, *slot, path.as_ref())),
            Self::Outer { slot, path } => {
                let value = scope.outer.get(*slot).and_then(Option::as_ref);
                Ok(match path {
                    None => value.map(Cow::Borrowed),
                    Some(path) => value.and_then(|value| path.get_in(value)),
                })
            }
            Self::Compare(comparison, both) => {
                let left = both[0].evaluate(scope)?;
                let right = both[1].evaluate(scope)?;
                made(comparison.of(order::compare_option(left.as_deref(), right.as_deref())))
            }
            Self::And(nodes) => {
                for node in nodes {
                    if !node.test(scope)? {
                        return made(false);
                    }
                }
                made(true)
            }
            Self::Or(nodes) => {
                for node in nodes {
                    if node.test(scope)? {
                        return made(true);
                    }
                }
                made(false)
            }
            Self::Strict(run, nodes) => {
                let mut values = Vec::with_capacity(nodes.len());
                for node in nodes {
                    let value = node.evaluate(scope)?;
                    spend_on(&value, scope)?;
                    values.push(value);
                }
                run(values)
            }
            _ => self.evaluate_rest(scope),
        }
    }

    /// What is met less often stands apart: the frame of `evaluate` stays small, and with it the stack of a deep tree.
    fn evaluate_rest<'a>(&'a self, scope: &Scope<'a>) -> Result<Value<'a>> {
        match self {
            Self::Object(fields) => object(fields, scope),
            Self::Array(nodes) => elements(nodes, scope),
            Self::IfNull(nodes) => if_null(nodes, scope),
            Self::Switch(branches, default) => switch(branches, default.as_deref(), scope),
            Self::Let(values, body) => bind(values, body, scope),
            Self::Map(input, body) => map(input, body, scope),
            Self::Filter {
                input,
                condition,
                limit,
            } => filter(input, condition, limit.as_deref(), scope),
            Self::Reduce { input, initial, body } => reduce(input, initial, body, scope),
            Self::Named(run, slots) => {
                let mut values = Vec::with_capacity(slots.len());
                for slot in slots {
                    let value = slot.as_ref().map(|node| node.evaluate(scope)).transpose()?;
                    value.iter().try_for_each(|value| spend_on(value, scope))?;
                    values.push(value);
                }
                run(values)
            }
            Self::Sort(input, order) => array::sort(input.evaluate(scope)?, order),
            Self::Search(search) => search.evaluate(scope),
            _ => Ok(None),
        }
    }

    fn test(&self, scope: &Scope<'_>) -> Result<bool> {
        Ok(self.evaluate(scope)?.is_some_and(|value| truth(&value)))
    }
}

/// Counts the work on a large argument: in a loop, it is done again and again.
fn spend_on(value: &Value<'_>, scope: &Scope<'_>) -> Result<()> {
    const LARGE: usize = 64;
    // An element is some work, a byte of a text is little.
    let work = match value.as_deref() {
        Some(Bson::Array(elements)) => elements.len(),
        Some(Bson::String(text)) => text.len() / LARGE,
        _ => 0,
    };
    if work > LARGE {
        scope.context.spend(work as u64)?;
    }
    Ok(())
}

fn inner<'a>(scope: &Scope<'a>, frame: usize, slot: usize, path: Option<&FieldPath>) -> Value<'a> {
    let mut at = scope.frame?;
    for _ in 0..frame {
        at = at.above?;
    }
    let value: &'a Bson = at.values.get(slot)?.as_deref()?;
    match path {
        None => Some(Cow::Borrowed(value)),
        Some(path) => path.get_in(value),
    }
}

fn object<'a>(fields: &'a [(String, Node)], scope: &Scope<'a>) -> Result<Value<'a>> {
    let mut document = Document::new();
    let mut meter = Meter::default();
    for (name, node) in fields {
        if let Some(value) = node.evaluate(scope)? {
            meter.add(&value, "an object expression")?;
            document.insert(name.clone(), value.into_owned());
        }
    }
    made(document)
}

fn elements<'a>(nodes: &'a [Node], scope: &Scope<'a>) -> Result<Value<'a>> {
    let mut array = Vec::with_capacity(nodes.len());
    let mut meter = Meter::default();
    for node in nodes {
        let value = node.evaluate(scope)?.unwrap_or(Cow::Owned(Bson::Null));
        meter.add(&value, "an array expression")?;
        array.push(value.into_owned());
    }
    made(array)
}

fn if_null<'a>(nodes: &'a [Node], scope: &Scope<'a>) -> Result<Value<'a>> {
    let mut last = None;
    for node in nodes {
        last = node.evaluate(scope)?;
        if !nullish(&last) {
            break;
        }
    }
    Ok(last)
}

fn switch<'a>(
    branches: &'a [(Node, Node)],
    default: Option<&'a Node>,
    scope: &Scope<'a>,
) -> Result<Value<'a>> {
    for (condition, value) in branches {
        if condition.test(scope)? {
            return value.evaluate(scope);
        }
    }
    match default {
        Some(node) => node.evaluate(scope),
        None => fail(
            40066,
            "$switch could not find a matching branch for an input, and no default was specified.",
        ),
    }
}

fn bind<'a>(values: &'a [Node], body: &'a Node, scope: &Scope<'a>) -> Result<Value<'a>> {
    let mut bound = Vec::with_capacity(values.len());
    for node in values {
        bound.push(node.evaluate(scope)?);
    }
    let frame = Frame {
        values: &bound,
        above: scope.frame,
    };
    detached(body, &inside(scope, &frame))
}

fn inside<'a>(scope: &Scope<'a>, frame: &'a Frame<'a>) -> Scope<'a> {
    Scope {
        frame: Some(frame),
        ..*scope
    }
}

/// The value of a body whose variables die with the call.
fn detached<'a>(body: &Node, scope: &Scope<'_>) -> Result<Value<'a>> {
    Ok(body.evaluate(scope)?.map(|value| Cow::Owned(value.into_owned())))
}

fn map<'a>(input: &'a Node, body: &'a Node, scope: &Scope<'a>) -> Result<Value<'a>> {
    let input = input.evaluate(scope)?;
    if nullish(&input) {
        return null();
    }
    let Some(Bson::Array(elements)) = input.as_deref() else {
        return fail(
            16883,
            format!("input to $map must be an array not {}", type_of(&input)),
        );
    };
    let mut mapped = Vec::with_capacity(elements.len());
    let mut meter = Meter::default();
    for element in elements {
        scope.context.spend(1)?;
        let values = [Some(Cow::Borrowed(element))];
        let frame = Frame {
            values: &values,
            above: scope.frame,
        };
        let value = body
            .evaluate(&inside(scope, &frame))?
            .unwrap_or(Cow::Owned(Bson::Null));
        meter.add(&value, "$map")?;
        mapped.push(value.into_owned());
    }
    made(mapped)
}

fn filter<'a>(
    input: &'a Node,
    condition: &'a Node,
    limit: Option<&'a Node>,
    scope: &Scope<'a>,
) -> Result<Value<'a>> {
    let input = input.evaluate(scope)?;
    let limit = match limit {
        None => None,
        Some(node) => {
            let value = node.evaluate(scope)?;
            match value.as_deref() {
                None | Some(Bson::Null | Bson::Undefined) => None,
                Some(value) => Some(int32(value).filter(|limit| *limit > 0).map_or_else(
                    || fail(327_391, "$filter: limit must be a positive 32-bit integer"),
                    |limit| Ok(limit as usize),
                )?),
            }
        }
    };
    if nullish(&input) {
        return null();
    }
    let Some(Bson::Array(elements)) = input.as_deref() else {
        return fail(
            28651,
            format!("input to $filter must be an array not {}", type_of(&input)),
        );
    };
    let mut kept = Vec::new();
    for element in elements {
        if limit.is_some_and(|limit| kept.len() >= limit) {
            break;
        }
        scope.context.spend(1)?;
        let values = [Some(Cow::Borrowed(element))];
        let frame = Frame {
            values: &values,
            above: scope.frame,
        };
        if condition.test(&inside(scope, &frame))? {
            kept.push(element.clone());
        }
    }
    made(kept)
}

fn reduce<'a>(input: &'a Node, initial: &'a Node, body: &'a Node, scope: &Scope<'a>) -> Result<Value<'a>> {
    // A body nests its value a little deeper each round; it is looked at before it can be too deep to drop.
    const ROUNDS: usize = 8;
    let input = input.evaluate(scope)?;
    if nullish(&input) {
        return null();
    }
    let Some(Bson::Array(elements)) = input.as_deref() else {
        return fail(
            40080,
            format!(
                "$reduce requires that 'input' be an array, found: {}",
                type_of(&input)
            ),
        );
    };
    let mut value: Value<'_> = initial
        .evaluate(scope)?
        .map(|value| Cow::Owned(value.into_owned()));
    for (round, element) in elements.iter().enumerate() {
        scope.context.spend(1)?;
        let values = [Some(Cow::Borrowed(element)), value];
        let frame = Frame {
            values: &values,
            above: scope.frame,
        };
        let next = body.evaluate(&inside(scope, &frame))?.map(Cow::into_owned);
        if let Some(next @ (Bson::Array(_) | Bson::Document(_))) = &next {
            Meter::default().add(next, "$reduce")?;
            if round % ROUNDS == 0 {
                check_depth(next)?;
            }
        }
        value = next.map(Cow::Owned);
    }
    Ok(value)
}
