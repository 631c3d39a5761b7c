//! By how much an update makes a document larger at most, whatever stands in the document: so that one who cannot look at a document
//! while it is changed may hold it to a size.

use bson::{Bson, doc};

use super::{Change, Kind, Operator, Update, UpdatePart};

/// Bytes of a field or an element beside its name and its value, and of a document or an array that is made for it.
const AROUND: usize = 8;
/// Bytes of an element's index, with what stands around it.
const ELEMENT: usize = 16;
/// Bytes of a number at most.
const NUMBER: usize = 16;

impl Update {
    /// Bytes of BSON by which it makes a document larger at most; `None` where that hangs on the document, as `$[]` writes as often as there
    /// are elements, and where it replaces the document or makes it anew.
    #[must_use]
    pub fn most_growth(&self) -> Option<usize> {
        match &self.kind {
            Kind::Operators(operators) => operators.changes.iter().try_fold(0_usize, |sum, change| {
                Some(sum.saturating_add(change.most_growth()?))
            }),
            Kind::Replacement(_) | Kind::Pipeline(_) => None,
        }
    }
}

impl Change {
    fn most_growth(&self) -> Option<usize> {
        let mut path = self.path.text.len();
        for part in &self.path.parts {
            path = path.saturating_add(match part {
                UpdatePart::All | UpdatePart::Filtered(_) => return None,
                // Elements before it that are not there become null.
                UpdatePart::Name(_, Some(index)) => index.saturating_add(1).saturating_mul(ELEMENT),
                UpdatePart::Name(_, None) | UpdatePart::Matched => AROUND,
            });
        }
        Some(path.saturating_add(self.operator.most_growth()))
    }
}

impl Operator {
    fn most_growth(&self) -> usize {
        match self {
            Self::Set(value) | Self::SetOnInsert(value) | Self::Min(value) | Self::Max(value) => size(value),
            Self::Inc(_) | Self::Mul(_) | Self::CurrentDate { .. } | Self::Bit(_) => NUMBER,
            Self::Push(push) => elements(&push.each),
            Self::AddToSet(values) => elements(values.each()),
            // What is moved is taken away elsewhere.
            Self::Rename(_) | Self::Unset | Self::Pop { .. } | Self::Pull(_) | Self::PullAll(_) => 0,
        }
    }
}

fn elements<'a>(values: impl IntoIterator<Item = &'a Bson>) -> usize {
    let sizes = values
        .into_iter()
        .map(|value| size(value).saturating_add(ELEMENT));
    sizes.fold(0, usize::saturating_add)
}

/// Bytes of a value, with some around it.
fn size(value: &Bson) -> usize {
    doc! {"": value.clone()}
        .to_vec()
        .map_or(usize::MAX, |bytes| bytes.len())
}
