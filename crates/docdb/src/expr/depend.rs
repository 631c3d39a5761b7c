//! Which fields of a document an expression, a filter or a pipeline reads.

use std::collections::BTreeSet;

use super::{FieldPath, Node, search::Source};

/// The top-level fields that are needed of a document, so that a scan decodes only these.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Needs {
    /// The whole document.
    All,
    /// These fields alone.
    Fields(BTreeSet<String>),
}

impl Default for Needs {
    fn default() -> Self {
        Self::Fields(BTreeSet::new())
    }
}

impl Needs {
    /// Adds a top-level field.
    pub fn add(&mut self, field: &str) {
        if let Self::Fields(fields) = self
            && !fields.contains(field)
        {
            fields.insert(field.to_owned());
        }
    }

    /// Adds the field that a path begins with.
    pub fn add_path(&mut self, path: &FieldPath) {
        self.add(path.first());
    }

    /// The whole document.
    pub fn add_all(&mut self) {
        *self = Self::All;
    }

    /// If `field` is needed.
    #[must_use]
    pub fn contains(&self, field: &str) -> bool {
        match self {
            Self::All => true,
            Self::Fields(fields) => fields.contains(field),
        }
    }
}

impl Node {
    pub(super) fn needs(&self, needs: &mut Needs) {
        let mut all = |nodes: &[Self]| nodes.iter().for_each(|node| node.needs(needs));
        match self {
            Self::Field(path) => needs.add_path(path),
            Self::Root => needs.add_all(),
            Self::Constant(_)
            | Self::Missing
            | Self::Now
            | Self::Random
            | Self::Inner { .. }
            | Self::Outer { .. } => {}
            Self::Object(fields) => fields.iter().for_each(|field| field.1.needs(needs)),
            Self::Array(nodes)
            | Self::And(nodes)
            | Self::Or(nodes)
            | Self::IfNull(nodes)
            | Self::Strict(_, nodes) => {
                all(nodes);
            }
            Self::Switch(branches, default) => {
                for (condition, value) in branches {
                    condition.needs(needs);
                    value.needs(needs);
                }
                default.iter().for_each(|node| node.needs(needs));
            }
            Self::Let(values, body) => {
                all(values);
                body.needs(needs);
            }
            Self::Map(input, body) => {
                input.needs(needs);
                body.needs(needs);
            }
            Self::Filter {
                input,
                condition,
                limit,
            } => {
                input.needs(needs);
                condition.needs(needs);
                limit.iter().for_each(|node| node.needs(needs));
            }
            Self::Reduce { input, initial, body } => {
                input.needs(needs);
                initial.needs(needs);
                body.needs(needs);
            }
            Self::Compare(_, both) => all(both.as_slice()),
            Self::Named(_, slots) => slots.iter().flatten().for_each(|node| node.needs(needs)),
            Self::Sort(input, _) => input.needs(needs),
            Self::Search(search) => {
                search.input.needs(needs);
                if let Source::Computed(both) = &search.source {
                    let (pattern, options) = &**both;
                    pattern.needs(needs);
                    options.iter().for_each(|node| node.needs(needs));
                }
            }
        }
    }
}
