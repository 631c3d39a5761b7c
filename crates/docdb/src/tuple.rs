//! What several paths name in one document, together: of one array that they share, the values of one element at a time.
//!
//! In `{a: [{b: 1, c: 2}, {b: 2, c: 1}]}` the paths `a.b` and `a.c` have the tuples (1, 2) and (2, 1), and never (1, 1). That is how MongoDB's
//! index keys and sort orders come by their values (`btree_key_generator.cpp`): where an element of an array is no document, the fields
//! below it are missing, and so is what an empty array would have; an array at the end of a path counts by its elements, an
//! empty one by `undefined`. Parts of digits name fields of documents here, and no elements.

use bson::{Bson, Document};

use crate::{
    error::Result,
    path::{Part, Path},
};

/// The value of each path; `None` where it is missing.
pub(crate) type Tuple<'a> = [Option<&'a Bson>];

/// Who is shown tuples.
pub(crate) type Each<'a, 'e> = dyn FnMut(&Tuple<'a>, Met) -> Result<()> + 'e;

/// What was met on the way to the tuples.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Met {
    /// An array.
    pub(crate) array: bool,
    /// Two arrays beside each other. All pairs of their elements are tuples.
    pub(crate) parallel: bool,
}

/// Shows `each` every tuple, one at least, and what was met so far.
///
/// # Errors
/// What `each` gives, which ends it.
pub(crate) fn tuples<'a, 'p>(
    document: &'a Document,
    paths: impl Iterator<Item = &'p Path>,
    each: &mut Each<'a, '_>,
) -> Result<Met> {
    let fields: Vec<Field<'p>> = paths.map(Path::parts).enumerate().collect();
    let mut walk = Walk {
        found: vec![None; fields.len()],
        met: Met::default(),
        each,
    };
    let mut arrays = Vec::new();
    walk.enter(Some(document), &fields, &mut arrays);
    walk.expand(arrays)?;
    Ok(walk.met)
}

/// The place of a path, and the parts of it that are still to be walked.
type Field<'p> = (usize, &'p [Part]);

/// An array that is to be expanded, for the fields that lead through it.
type Shared<'a, 'p> = (&'a Vec<Bson>, Vec<Field<'p>>);

struct Walk<'a, 'e, 'c> {
    found: Vec<Option<&'a Bson>>,
    met: Met,
    each: &'e mut Each<'a, 'c>,
}

impl<'a> Walk<'a, '_, '_> {
    /// Takes what the fields name in a document, up to the next arrays, which are added to `arrays`.
    fn enter<'p>(
        &mut self,
        document: Option<&'a Document>,
        fields: &[Field<'p>],
        arrays: &mut Vec<Shared<'a, 'p>>,
    ) {
        let before = arrays.len();
        for &(at, parts) in fields {
            let (value, rest) = document.map_or((None, parts), |document| step(document, parts));
            match value {
                Some(Bson::Array(elements)) => {
                    let known = arrays[before..]
                        .iter_mut()
                        .find(|shared| std::ptr::eq(shared.0, elements));
                    match known {
                        Some(shared) => shared.1.push((at, rest)),
                        None => arrays.push((elements, vec![(at, rest)])),
                    }
                }
                value => self.found[at] = value,
            }
        }
        self.met.array |= arrays.len() > before;
        self.met.parallel |= arrays.len() - before > 1;
    }

    fn expand(&mut self, mut arrays: Vec<Shared<'a, '_>>) -> Result<()> {
        let Some((elements, fields)) = arrays.pop() else {
            return (self.each)(&self.found, self.met);
        };
        let (ends, below): (Vec<_>, Vec<_>) = fields.iter().partition(|(_, rest)| rest.is_empty());
        let none = elements.is_empty().then_some(&Bson::Undefined);
        for element in elements.iter().chain(none) {
            for &(at, _) in &ends {
                self.found[at] = Some(element);
            }
            let mut arrays = arrays.clone();
            self.enter(element.as_document(), &below, &mut arrays);
            self.expand(arrays)?;
        }
        Ok(())
    }
}

/// What stands at the end of the parts, or the first array on the way and the parts behind it.
fn step<'a, 'p>(mut document: &'a Document, mut parts: &'p [Part]) -> (Option<&'a Bson>, &'p [Part]) {
    while let Some((part, rest)) = parts.split_first() {
        parts = rest;
        match document.get(&part.name) {
            Some(Bson::Document(inner)) if !rest.is_empty() => document = inner,
            array @ Some(Bson::Array(_)) => return (array, rest),
            value => return (value.filter(|_| rest.is_empty()), rest),
        }
    }
    (None, parts)
}
