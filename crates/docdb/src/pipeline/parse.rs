//! The parser of pipelines, stage by stage.

use bson::Bson;

use super::{
    MAX_LENGTH, MAX_STAGES, Pipeline, Stage,
    bucket::{self, BucketAuto},
    geo_near::GeoNear,
    group::Group,
    lookup::{GraphLookup, Lookup, UnionWith},
    project::{AddFields, Projection},
    reshape::{REDACT, Unwind},
    sort::SortStage,
    window::Window,
};
use crate::{
    Error,
    error::{Result, code},
    expr::{Expression, type_name},
    order::Number,
    query::Filter,
    sort::Sort,
};

/// Parses a pipeline; `depth` is how many pipelines it stands in.
pub(super) fn pipeline(stages: &[Bson], variables: &[String], depth: usize) -> Result<Pipeline> {
    if stages.len() > MAX_STAGES {
        return Err(Error::new(
            7_749_501,
            format!("Pipeline length must be no longer than {MAX_STAGES} stages"),
        ));
    }
    let mut parsed = Vec::with_capacity(stages.len());
    for (at, value) in stages.iter().enumerate() {
        let Bson::Document(document) = value else {
            return Err(Error::type_mismatch(
                "Each element of the 'pipeline' array must be an object",
            ));
        };
        let mut fields = document.iter();
        let (Some((name, specification)), None) = (fields.next(), fields.next()) else {
            return Err(Error::new(
                40323,
                "A pipeline stage specification object must contain exactly one field.",
            ));
        };
        stage(name, specification, variables, depth, at, &mut parsed)?;
    }
    for at in 0..parsed.len() {
        let most = following_limit(parsed.get(at + 1..).unwrap_or_default());
        if let Some(Stage::Sort(sort)) = parsed.get_mut(at) {
            sort.most = most;
        }
    }
    let runs = parsed
        .chunk_by(|left, right| left.is_step() && right.is_step())
        .count();
    let length = runs + parsed.iter().map(Stage::inner_length).max().unwrap_or(0);
    if length > MAX_LENGTH {
        return Err(Error::new(
            7_749_501,
            format!(
                "Pipeline length must be no longer than {MAX_LENGTH} stages that hold or multiply documents"
            ),
        ));
    }
    Ok(Pipeline {
        stages: parsed,
        length,
    })
}

/// How many documents the stages behind a `$sort` let through.
fn following_limit(stages: &[Stage]) -> Option<usize> {
    let mut skip = 0_u64;
    for stage in stages {
        match stage {
            Stage::Skip(count) => skip = skip.saturating_add(*count),
            Stage::Limit(count) => return usize::try_from(skip.saturating_add(*count)).ok(),
            _ => return None,
        }
    }
    None
}

fn stage(
    name: &str,
    specification: &Bson,
    variables: &[String],
    depth: usize,
    at: usize,
    parsed: &mut Vec<Stage>,
) -> Result<()> {
    let stage = match name {
        "$match" => Stage::Match(Box::new(filter(specification, variables)?)),
        "$project" => Stage::Project(Projection::parse(specification, variables)?),
        "$addFields" => Stage::AddFields(AddFields::parse("$addFields", specification, variables)?),
        "$set" => Stage::AddFields(AddFields::parse("$set", specification, variables)?),
        "$unset" => Stage::Project(Projection::parse_unset(specification)?),
        "$replaceRoot" => replace_root(specification, variables)?,
        "$replaceWith" => Stage::ReplaceRoot(
            Box::new(Expression::parse_with(specification, variables)?),
            "replacement document",
        ),
        "$redact" => {
            let mut names = variables.to_vec();
            names.extend(REDACT.map(str::to_owned));
            Stage::Redact(Box::new(Expression::parse_with(specification, &names)?))
        }
        "$unwind" => Stage::Unwind(Unwind::parse(specification)?),
        "$limit" => Stage::Limit(limit(specification)?),
        "$skip" => Stage::Skip(count(specification, "$skip", 5_107_200)?),
        "$sample" => Stage::Sample(sample(specification)?),
        "$sort" => match specification {
            Bson::Document(document) => Stage::Sort(SortStage::new(Sort::parse(document)?)),
            _ => return Err(Error::new(15973, "the $sort key specification must be an object")),
        },
        "$group" => Stage::Group(Group::parse(specification, variables)?),
        "$bucket" => {
            parsed.extend(bucket::bucket(specification, variables)?);
            return Ok(());
        }
        "$bucketAuto" => Stage::BucketAuto(Box::new(BucketAuto::parse(specification, variables)?)),
        "$sortByCount" => {
            sort_by_count(specification, variables, parsed)?;
            return Ok(());
        }
        "$count" => Stage::Count(count_field(specification)?),
        "$lookup" => Stage::Lookup(Box::new(Lookup::parse(specification, variables, depth)?)),
        "$graphLookup" => Stage::GraphLookup(Box::new(GraphLookup::parse(specification, variables)?)),
        "$unionWith" => Stage::UnionWith(UnionWith::parse(specification, variables, depth)?),
        "$facet" => facet(specification, variables, depth)?,
        "$geoNear" => {
            if at > 0 {
                return Err(Error::new(
                    40602,
                    "$geoNear is only valid as the first stage in a pipeline",
                ));
            }
            Stage::GeoNear(Box::new(GeoNear::parse(specification, variables)?))
        }
        "$setWindowFields" => Stage::Window(Box::new(Window::parse(specification, variables)?)),
        "$documents" => {
            if at > 0 {
                return Err(Error::new(
                    40602,
                    "$documents is only valid as the first stage in a pipeline",
                ));
            }
            documents(specification, variables)?
        }
        "$out" | "$merge" => {
            return Err(Error::new(
                if depth > 0 { 51047 } else { 40324 },
                format!("{name} writes to a collection, which no pipeline of this database does"),
            ));
        }
        "$changeStream" | "$currentOp" | "$listSessions" | "$listLocalSessions" | "$indexStats"
        | "$collStats" => {
            return Err(Error::new(
                40573,
                format!("{name} is not offered by this database"),
            ));
        }
        _ => {
            return Err(Error::new(
                40324,
                format!("Unrecognized pipeline stage name: '{name}'"),
            ));
        }
    };
    parsed.push(stage);
    Ok(())
}

fn filter(specification: &Bson, variables: &[String]) -> Result<Filter> {
    let Bson::Document(document) = specification else {
        return Err(Error::new(
            15959,
            "the match filter must be an expression in an object",
        ));
    };
    let filter = Filter::parse_with(document, variables)?;
    if filter.near().is_some() {
        return Err(Error::new(
            5_626_500,
            "$geoNear, $near, and $nearSphere are not allowed in this context",
        ));
    }
    Ok(filter)
}

fn replace_root(specification: &Bson, variables: &[String]) -> Result<Stage> {
    let Bson::Document(document) = specification else {
        return Err(Error::new(
            40229,
            format!(
                "expected an object as specification for $replaceRoot stage, got {}",
                type_name(specification)
            ),
        ));
    };
    if let Some(name) = document.keys().find(|name| name.as_str() != "newRoot") {
        return Err(Error::new(
            code::IDL_UNKNOWN_FIELD,
            format!("BSON field '$replaceRoot.{name}' is an unknown field."),
        ));
    }
    let Some(new_root) = document.get("newRoot") else {
        return Err(Error::new(
            code::IDL_FAILED_TO_PARSE,
            "BSON field '$replaceRoot.newRoot' is missing but a required field",
        ));
    };
    let expression = Expression::parse_with(new_root, variables)?;
    if let Some(constant) = expression.constant()
        && !matches!(constant, Bson::Document(_))
    {
        return Err(Error::new(
            40228,
            format!(
                "'newRoot' expression must evaluate to an object, but resulting value was of type: {}",
                type_name(constant)
            ),
        ));
    }
    Ok(Stage::ReplaceRoot(Box::new(expression), "newRoot"))
}

fn count(value: &Bson, stage: &str, code: i32) -> Result<u64> {
    Number::of(value)
        .and_then(Number::to_i64_exact)
        .and_then(|count| u64::try_from(count).ok())
        .ok_or_else(|| {
            Error::new(
                code,
                format!(
                    "invalid argument to {stage} stage: Expected a non-negative number in: {stage}: {value}"
                ),
            )
        })
}

fn limit(value: &Bson) -> Result<u64> {
    match count(value, "$limit", 5_107_201)? {
        0 => Err(Error::new(15958, "the limit must be positive")),
        count => Ok(count),
    }
}

fn sample(specification: &Bson) -> Result<usize> {
    let Bson::Document(document) = specification else {
        return Err(Error::new(
            28745,
            "the $sample stage specification must be an object",
        ));
    };
    let mut size = None;
    for (name, value) in document {
        if name != "size" {
            return Err(Error::new(
                28748,
                format!("unrecognized option to $sample: {name}"),
            ));
        }
        let Some(number) = Number::of(value) else {
            return Err(Error::new(28746, "size argument to $sample must be a number"));
        };
        // What is no whole number is cut.
        let count = number.to_i64_exact().unwrap_or_else(|| number.to_f64() as i64);
        if count <= 0 {
            return Err(Error::new(
                28747,
                "size argument to $sample must be a positive integer",
            ));
        }
        size = Some(usize::try_from(count).unwrap_or(usize::MAX));
    }
    size.ok_or_else(|| Error::new(28749, "$sample stage must specify a size"))
}

fn sort_by_count(specification: &Bson, variables: &[String], parsed: &mut Vec<Stage>) -> Result<()> {
    let fits = match specification {
        Bson::String(text) => text.starts_with('$'),
        Bson::Document(document) => document.keys().next().is_some_and(|name| name.starts_with('$')),
        _ => {
            return Err(Error::new(
                40149,
                "the sortByCount field must be specified as a string or as an object",
            ));
        }
    };
    if !fits {
        return Err(Error::new(
            if matches!(specification, Bson::String(_)) {
                40148
            } else {
                40147
            },
            "the sortByCount field must be defined as a $-prefixed path or an expression inside an object",
        ));
    }
    let group = bson::bson!({"_id": specification.clone(), "count": {"$sum": 1}});
    parsed.push(Stage::Group(Group::parse(&group, variables)?));
    parsed.push(Stage::Sort(SortStage::new(Sort::parse(
        &bson::doc! {"count": -1},
    )?)));
    Ok(())
}

fn count_field(specification: &Bson) -> Result<String> {
    let Bson::String(name) = specification else {
        return Err(Error::new(40156, "the count field must be a non-empty string"));
    };
    let refused = |code: i32, why: &str| Err(Error::new(code, format!("the count field {why}")));
    if name.is_empty() {
        return refused(40157, "must be a non-empty string");
    }
    if name.starts_with('$') {
        return refused(40158, "cannot be a $-prefixed path");
    }
    if name.contains('\0') {
        return refused(40159, "cannot contain a null byte");
    }
    if name.contains('.') {
        return refused(40160, "cannot contain '.'");
    }
    if name == "_id" {
        return refused(9_039_800, "cannot be named _id");
    }
    Ok(name.clone())
}

fn facet(specification: &Bson, variables: &[String], depth: usize) -> Result<Stage> {
    let Bson::Document(document) = specification else {
        return Err(Error::new(
            40169,
            "the $facet specification must be a non-empty object",
        ));
    };
    if document.is_empty() {
        return Err(Error::new(
            40169,
            "the $facet specification must be a non-empty object",
        ));
    }
    let mut facets = Vec::with_capacity(document.len());
    for (name, value) in document {
        if name.contains('.') || name.starts_with('$') || name.is_empty() {
            return Err(Error::new(
                40170,
                format!("$facet: '{name}' is no name of a field"),
            ));
        }
        let Bson::Array(stages) = value else {
            return Err(Error::new(
                40170,
                format!(
                    "arguments to $facet must be arrays, {name} is type {}",
                    type_name(value)
                ),
            ));
        };
        let names = stages
            .iter()
            .filter_map(Bson::as_document)
            .filter_map(|stage| stage.keys().next());
        for inner in names {
            if matches!(
                inner.as_str(),
                "$facet" | "$geoNear" | "$documents" | "$out" | "$merge"
            ) {
                return Err(Error::new(
                    40600,
                    format!("{inner} is not allowed to be used within a $facet stage"),
                ));
            }
        }
        facets.push((name.clone(), pipeline(stages, variables, depth + 1)?));
    }
    Ok(Stage::Facet(facets))
}

fn documents(specification: &Bson, variables: &[String]) -> Result<Stage> {
    let expression = Expression::parse_with(specification, variables)?;
    let refused = || {
        Error::new(
            5_858_203,
            "an array is expected: $documents takes a list of documents",
        )
    };
    let Some(Bson::Array(values)) = expression.constant() else {
        return Err(refused());
    };
    let documents = values
        .iter()
        .map(|value| value.as_document().cloned().ok_or_else(refused));
    Ok(Stage::Documents(documents.collect::<Result<_>>()?))
}
