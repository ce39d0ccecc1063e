//! The part of CEL that the matchConditions of webhooks are mostly made of.
//!
//! A condition that uses more is told apart from one that is false: nobody should learn from this tool that a Pod reaches the
//! policy, or does not, where that is not known.

mod parser;

use std::rc::Rc;

use serde_json::{Value, json};

use parser::Expression;

/// Why a condition has no value.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CelError {
    /// This tool does not know the expression.
    #[error("this tool does not evaluate {0}")]
    Unsupported(String),
    /// The API server could not evaluate it either.
    #[error("{0}")]
    Evaluation(String),
}

/// The variables of an expression.
#[derive(Debug, Clone, Default)]
pub struct Scope(Vec<(String, Rc<Value>)>);

impl Scope {
    /// Adds a variable, which hides an older one of that name.
    pub fn with(&self, name: &str, value: Value) -> Self {
        let mut variables = self.0.clone();
        variables.push((name.to_owned(), Rc::new(value)));
        Self(variables)
    }

    fn get(&self, name: &str) -> Option<&Value> {
        let found = self.0.iter().rev().find(|(known, _)| known == name);
        found.map(|(_, value)| value.as_ref())
    }
}

/// Returns whether a condition holds.
///
/// # Errors
/// [`CelError`]
pub fn holds(condition: &str, scope: &Scope) -> Result<bool, CelError> {
    let expression = parser::parse(condition)?;
    truth(&evaluate(&expression, scope)?)
}

fn truth(value: &Value) -> Result<bool, CelError> {
    value
        .as_bool()
        .ok_or_else(|| CelError::Evaluation("it is neither true nor false".to_owned()))
}

fn evaluate(expression: &Expression, scope: &Scope) -> Result<Value, CelError> {
    match expression {
        Expression::Literal(value) => Ok(value.clone()),
        Expression::List(items) => {
            let items: Result<Vec<Value>, _> = items.iter().map(|item| evaluate(item, scope)).collect();
            Ok(Value::Array(items?))
        }
        Expression::Name(name) => {
            let unknown = || CelError::Unsupported(format!("the variable {name}"));
            scope.get(name).cloned().ok_or_else(unknown)
        }
        Expression::Select(of, field) => select(&evaluate(of, scope)?, &json!(field)),
        Expression::Index(of, key) => select(&evaluate(of, scope)?, &evaluate(key, scope)?),
        Expression::Not(inner) => Ok(json!(!truth(&evaluate(inner, scope)?)?)),
        Expression::Binary(operator, left, right) => binary(operator, left, right, scope),
        Expression::Call(None, name, arguments) => function(name, arguments, scope),
        Expression::Call(Some(of), name, arguments) => method(&evaluate(of, scope)?, name, arguments, scope),
    }
}

fn select(of: &Value, key: &Value) -> Result<Value, CelError> {
    let found = match key {
        Value::String(key) => of.get(key),
        key => key.as_u64().and_then(|index| of.get(usize::try_from(index).ok()?)),
    };
    found
        .cloned()
        .ok_or_else(|| CelError::Evaluation(format!("no such key: {}", key.as_str().unwrap_or("?"))))
}

fn binary(operator: &str, left: &Expression, right: &Expression, scope: &Scope) -> Result<Value, CelError> {
    if operator == "&&" || operator == "||" {
        return logical(operator == "||", left, right, scope);
    }
    let (left, right) = (evaluate(left, scope)?, evaluate(right, scope)?);
    Ok(json!(match operator {
        "==" => left == right,
        "!=" => left != right,
        "in" => match &right {
            Value::Array(items) => items.contains(&left),
            Value::Object(fields) => left.as_str().is_some_and(|key| fields.contains_key(key)),
            _ => return Err(CelError::Evaluation("in needs a list or a map".to_owned())),
        },
        _ => {
            let (Some(left), Some(right)) = (left.as_f64(), right.as_f64()) else {
                return Err(CelError::Unsupported(format!("{operator} of anything but numbers")));
            };
            match operator {
                "<" => left < right,
                "<=" => left <= right,
                ">" => left > right,
                _ => left >= right,
            }
        }
    }))
}

/// In CEL, an error on one side does not count where the other side decides.
fn logical(decisive: bool, left: &Expression, right: &Expression, scope: &Scope) -> Result<Value, CelError> {
    let side = |expression| evaluate(expression, scope).and_then(|value| truth(&value));
    let left = side(left);
    if left == Ok(decisive) {
        return Ok(json!(decisive));
    }
    let right = side(right);
    if right == Ok(decisive) {
        return Ok(json!(decisive));
    }
    left?;
    Ok(json!(right?))
}

fn function(name: &str, arguments: &[Expression], scope: &Scope) -> Result<Value, CelError> {
    match (name, arguments) {
        ("has", [Expression::Select(of, field)]) => match evaluate(of, scope) {
            Ok(of) => Ok(json!(of.get(field).is_some_and(|value| !value.is_null()))),
            Err(error) => Err(error),
        },
        ("size", [of]) => size(&evaluate(of, scope)?),
        _ => Err(CelError::Unsupported(format!("the function {name}"))),
    }
}

fn method(of: &Value, name: &str, arguments: &[Expression], scope: &Scope) -> Result<Value, CelError> {
    match (name, arguments) {
        ("exists" | "all", [Expression::Name(variable), condition]) => {
            let elements: Vec<Value> = match of {
                Value::Array(items) => items.clone(),
                Value::Object(fields) => fields.keys().map(|key| json!(key)).collect(),
                _ => return Err(CelError::Evaluation(format!("{name} needs a list or a map"))),
            };
            let exists = name == "exists";
            for element in elements {
                let value = evaluate(condition, &scope.with(variable, element))?;
                if truth(&value)? == exists {
                    return Ok(json!(exists));
                }
            }
            Ok(json!(!exists))
        }
        ("size", []) => size(of),
        ("startsWith" | "endsWith" | "contains", [argument]) => {
            let argument = evaluate(argument, scope)?;
            let (Some(text), Some(part)) = (of.as_str(), argument.as_str()) else {
                return Err(CelError::Evaluation(format!("{name} needs texts")));
            };
            Ok(json!(match name {
                "startsWith" => text.starts_with(part),
                "endsWith" => text.ends_with(part),
                _ => text.contains(part),
            }))
        }
        _ => Err(CelError::Unsupported(format!("the function {name}"))),
    }
}

fn size(of: &Value) -> Result<Value, CelError> {
    Ok(match of {
        Value::String(text) => json!(text.chars().count()),
        Value::Array(items) => json!(items.len()),
        Value::Object(fields) => json!(fields.len()),
        _ => return Err(CelError::Evaluation("size needs a text, a list or a map".to_owned())),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn conditions_hold_or_do_not_or_are_not_known() {
        let scope = Scope::default().with(
            "object",
            json!({"metadata": {"annotations": {"flyte.secrets/s0": "x"}, "labels": {"a": "b"}, "name": "web-1"}}),
        );
        let asks = "has(object.metadata.annotations) && object.metadata.annotations.exists(key, \
                    key.startsWith('flyte.secrets/s') || key.startsWith('secret-injector/requests'))";
        for (condition, expected) in [
            (asks, Ok(true)),
            ("!has(object.metadata.namespace)", Ok(true)),
            ("object.metadata.labels['a'] != \"b\"", Ok(false)),
            (
                "'a' in object.metadata.labels && object.metadata.name in ['x', 'web-1']",
                Ok(true),
            ),
            (
                "object.metadata.labels.all(k, k.size() >= 1) && size(object.metadata.labels) < 2",
                Ok(true),
            ),
            ("object.metadata.nothing == 'x' || true", Ok(true)),
            ("(false || object.metadata.name.endsWith('-1')) == true", Ok(true)),
        ] {
            assert_eq!(holds(condition, &scope), expected, "{condition}");
        }
        for (condition, message) in [
            (
                "object.metadata.name.matches('w.*')",
                "this tool does not evaluate the function matches",
            ),
            (
                "authorizer.group('')",
                "this tool does not evaluate the variable authorizer",
            ),
            ("object.metadata.nothing == 'x'", "no such key: nothing"),
            ("object.metadata ? true : false", "this tool does not evaluate \"?\""),
            ("'open", "this tool does not evaluate \"'\""),
        ] {
            assert_eq!(
                holds(condition, &scope).unwrap_err().to_string(),
                message,
                "{condition}"
            );
        }
    }
}
