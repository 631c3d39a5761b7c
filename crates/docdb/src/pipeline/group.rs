//! `$group`: one state per group, never the documents.

use std::{borrow::Cow, collections::HashMap};

use bson::{Bson, Document};

use super::{Documents, Environment, Held, check_depth, lazily};
use crate::{
    Error,
    accumulate::{Accumulator, State},
    error::Result,
    expr::{Expression, Needs, value_size},
    key::{self, Direction},
};

/// Fields that are accumulated, by name.
pub(super) type Accumulators = Vec<(String, Accumulator)>;

/// A parsed `$group`.
#[derive(Clone, Debug)]
pub(super) struct Group {
    id: Expression,
    fields: Accumulators,
}

/// A document as `_id` builds a value of each group: it does not select fields.
fn check_id(id: &Bson) -> Result<()> {
    let Bson::Document(document) = id else {
        return Ok(());
    };
    let selects = |(name, value): (&String, &Bson)| {
        let flag = matches!(
            value,
            Bson::Boolean(_) | Bson::Int32(_) | Bson::Int64(_) | Bson::Double(_)
        );
        flag && !name.starts_with('$')
    };
    if document.iter().any(selects) {
        return Err(Error::new(
            17390,
            "$group does not support inclusion-style expressions",
        ));
    }
    Ok(())
}

struct OneGroup {
    id: Bson,
    states: Vec<State>,
}

impl Group {
    pub(super) const fn new(id: Expression, fields: Accumulators) -> Self {
        Self { id, fields }
    }

    pub(super) fn parse(specification: &Bson, variables: &[String]) -> Result<Self> {
        let Bson::Document(specification) = specification else {
            return Err(Error::new(
                15947,
                "a group's fields must be specified in an object",
            ));
        };
        let mut id = None;
        let mut fields = Vec::new();
        for (name, value) in specification {
            if name == "_id" {
                check_id(value)?;
                id = Some(Expression::parse_with(value, variables)?);
            } else {
                fields.push((name.clone(), Accumulator::parse(name, value, variables)?));
            }
        }
        match id {
            Some(id) => Ok(Self { id, fields }),
            None => Err(Error::new(15955, "a group specification must include an _id")),
        }
    }

    pub(super) fn needs(&self, needs: &mut Needs) {
        self.id.needs(needs);
        self.fields.iter().for_each(|field| field.1.needs(needs));
    }

    pub(super) fn run<'a>(&'a self, input: Documents<'a>, environment: Environment<'a>) -> Documents<'a> {
        lazily(move || {
            let groups = self.collect(input, environment)?;
            Ok(Box::new(groups.into_iter().map(|group| {
                let mut document = Document::new();
                document.insert("_id", group.id);
                finish(&self.fields, group.states, &mut document)?;
                Ok(document)
            })))
        })
    }

    fn collect(&self, input: Documents<'_>, environment: Environment<'_>) -> Result<Vec<OneGroup>> {
        // A group's place in the table and in the list.
        const ENTRY: usize = size_of::<OneGroup>() + 2 * size_of::<(Vec<u8>, usize)>();
        let mut held = Held::new("$group", environment.memory);
        let mut places: HashMap<Vec<u8>, usize> = HashMap::new();
        let mut groups: Vec<OneGroup> = Vec::new();
        let mut key = Vec::new();
        for document in input {
            let document = document?;
            let id = self
                .id
                .evaluate(&document, environment.variables, environment.context)?;
            key.clear();
            key::push(
                &mut key,
                id.as_deref().unwrap_or(&Bson::Null),
                Direction::Ascending,
            );
            let place = if let Some(place) = places.get(key.as_slice()) {
                *place
            } else {
                let id = id.map_or(Bson::Null, Cow::into_owned);
                check_depth(&id)?;
                let states = start(&self.fields, &id, environment)?;
                held.add_bytes(ENTRY + key.len() + value_size(&id) + states.len() * size_of::<State>())?;
                places.insert(key.clone(), groups.len());
                groups.push(OneGroup { id, states });
                groups.len() - 1
            };
            if let Some(group) = groups.get_mut(place) {
                held.add_bytes(add(&self.fields, &mut group.states, &document, environment)?)?;
            }
        }
        Ok(groups)
    }
}

/// The states of a new group.
pub(super) fn start(fields: &Accumulators, id: &Bson, environment: Environment<'_>) -> Result<Vec<State>> {
    fields
        .iter()
        .map(|field| field.1.start(id, environment.variables, environment.context))
        .collect()
}

/// Shows a document to the states of its group; gives the bytes by which they grew.
pub(super) fn add(
    fields: &Accumulators,
    states: &mut [State],
    document: &Document,
    environment: Environment<'_>,
) -> Result<usize> {
    let mut bytes = 0;
    for ((_, accumulator), state) in fields.iter().zip(states) {
        bytes += accumulator.add(state, document, environment.variables, environment.context)?;
    }
    Ok(bytes)
}

/// Writes what a group came to into its document.
pub(super) fn finish(fields: &Accumulators, states: Vec<State>, document: &mut Document) -> Result<()> {
    for ((name, accumulator), state) in fields.iter().zip(states) {
        let value = accumulator.finish(state);
        check_depth(&value)?;
        document.insert(name.as_str(), value);
    }
    Ok(())
}
