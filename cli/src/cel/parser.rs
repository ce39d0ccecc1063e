//! From the text of an expression to its tree.

use serde_json::{Value, json};

use super::CelError;

/// How deep expressions may be nested.
const MAX_DEPTH: usize = 64;
/// From the weakest to the strongest.
const OPERATORS: [&[&str]; 3] = [&["||"], &["&&"], &["==", "!=", "<=", ">=", "<", ">", "in"]];

/// The tree of an expression.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Expression {
    Literal(Value),
    Name(String),
    List(Vec<Expression>),
    Select(Box<Expression>, String),
    Index(Box<Expression>, Box<Expression>),
    Not(Box<Expression>),
    Binary(String, Box<Expression>, Box<Expression>),
    /// A function, or a method of its first part.
    Call(Option<Box<Expression>>, String, Vec<Expression>),
}

#[derive(Debug, Clone, PartialEq)]
enum Token {
    Text(String),
    Number(f64),
    Word(String),
    Sign(String),
}

pub(super) fn parse(text: &str) -> Result<Expression, CelError> {
    let mut parser = Parser {
        tokens: tokens(text)?,
        position: 0,
        depth: 0,
    };
    let expression = parser.binary(0)?;
    match parser.peek() {
        None => Ok(expression),
        Some(token) => Err(unsupported(token)),
    }
}

fn unsupported(token: &Token) -> CelError {
    let text = match token {
        Token::Text(text) | Token::Word(text) | Token::Sign(text) => text.clone(),
        Token::Number(number) => number.to_string(),
    };
    CelError::Unsupported(format!("{text:?}"))
}

fn tokens(text: &str) -> Result<Vec<Token>, CelError> {
    let mut tokens = Vec::new();
    let mut rest = text.trim_start();
    while let Some(first) = rest.chars().next() {
        let (token, length) = match first {
            '"' | '\'' => quoted(rest, first)?,
            '0'..='9' => {
                let length = rest
                    .find(|c: char| !c.is_ascii_digit() && c != '.')
                    .unwrap_or(rest.len());
                let number = rest[..length].parse();
                (
                    Token::Number(number.map_err(|_| CelError::Unsupported(format!("{rest:?}")))?),
                    length,
                )
            }
            'a'..='z' | 'A'..='Z' | '_' => {
                let length = rest
                    .find(|c: char| !c.is_ascii_alphanumeric() && c != '_')
                    .unwrap_or(rest.len());
                (Token::Word(rest[..length].to_owned()), length)
            }
            _ => {
                let two = ["&&", "||", "==", "!=", "<=", ">="]
                    .into_iter()
                    .find(|sign| rest.starts_with(sign));
                let sign = two.map_or_else(|| first.to_string(), str::to_owned);
                let length = sign.len();
                (Token::Sign(sign), length)
            }
        };
        tokens.push(token);
        rest = rest[length..].trim_start();
    }
    Ok(tokens)
}

/// A text in quotes, and its length with them. Escapes other than those of quotes and backslashes are rare in conditions.
fn quoted(text: &str, quote: char) -> Result<(Token, usize), CelError> {
    let mut content = String::new();
    let mut characters = text.char_indices().skip(1);
    while let Some((index, character)) = characters.next() {
        match character {
            '\\' => match characters.next() {
                Some((_, escaped @ ('\\' | '"' | '\''))) => content.push(escaped),
                _ => return Err(CelError::Unsupported("escapes in texts".to_owned())),
            },
            _ if character == quote => return Ok((Token::Text(content), index + 1)),
            _ => content.push(character),
        }
    }
    Err(CelError::Unsupported(format!("{:?}", quote.to_string())))
}

struct Parser {
    tokens: Vec<Token>,
    position: usize,
    depth: usize,
}

impl Parser {
    fn peek(&self) -> Option<&Token> {
        self.tokens.get(self.position)
    }

    fn next(&mut self) -> Result<Token, CelError> {
        let token = self.peek().cloned();
        self.position += 1;
        token.ok_or_else(|| CelError::Unsupported("an expression that ends too early".to_owned()))
    }

    fn takes(&mut self, sign: &str) -> bool {
        let found = matches!(self.peek(), Some(Token::Sign(next)) if next == sign);
        self.position += usize::from(found);
        found
    }

    fn expect(&mut self, sign: &str) -> Result<(), CelError> {
        match self.next()? {
            Token::Sign(next) if next == sign => Ok(()),
            token => Err(unsupported(&token)),
        }
    }

    fn binary(&mut self, level: usize) -> Result<Expression, CelError> {
        let Some(operators) = OPERATORS.get(level) else {
            return self.unary();
        };
        let mut left = self.binary(level + 1)?;
        loop {
            let operator = match self.peek() {
                Some(Token::Sign(text) | Token::Word(text)) if operators.contains(&text.as_str()) => text.clone(),
                _ => return Ok(left),
            };
            self.position += 1;
            let right = self.binary(level + 1)?;
            left = Expression::Binary(operator, Box::new(left), Box::new(right));
        }
    }

    fn unary(&mut self) -> Result<Expression, CelError> {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return Err(CelError::Unsupported("an expression that is nested so deep".to_owned()));
        }
        let expression = match self.takes("!") {
            true => Expression::Not(Box::new(self.unary()?)),
            false => self.member()?,
        };
        self.depth -= 1;
        Ok(expression)
    }

    fn member(&mut self) -> Result<Expression, CelError> {
        let mut expression = self.primary()?;
        loop {
            if self.takes(".") {
                let Token::Word(field) = self.next()? else {
                    return Err(CelError::Unsupported("\".\"".to_owned()));
                };
                expression = match self.takes("(") {
                    true => Expression::Call(Some(Box::new(expression)), field, self.list(")")?),
                    false => Expression::Select(Box::new(expression), field),
                };
            } else if self.takes("[") {
                let key = self.binary(0)?;
                self.expect("]")?;
                expression = Expression::Index(Box::new(expression), Box::new(key));
            } else {
                return Ok(expression);
            }
        }
    }

    fn primary(&mut self) -> Result<Expression, CelError> {
        match self.next()? {
            Token::Text(text) => Ok(Expression::Literal(json!(text))),
            Token::Number(number) if number.fract() == 0.0 && number < 1e15 => {
                #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a small integer")]
                let number = number as u64;
                Ok(Expression::Literal(json!(number)))
            }
            Token::Number(number) => Ok(Expression::Literal(json!(number))),
            Token::Word(word) => match word.as_str() {
                "true" | "false" => Ok(Expression::Literal(json!(word == "true"))),
                "null" => Ok(Expression::Literal(Value::Null)),
                _ if self.takes("(") => Ok(Expression::Call(None, word, self.list(")")?)),
                _ => Ok(Expression::Name(word)),
            },
            Token::Sign(sign) if sign == "(" => {
                let inner = self.binary(0)?;
                self.expect(")")?;
                Ok(inner)
            }
            Token::Sign(sign) if sign == "[" => Ok(Expression::List(self.list("]")?)),
            token => Err(unsupported(&token)),
        }
    }

    fn list(&mut self, end: &str) -> Result<Vec<Expression>, CelError> {
        let mut items = Vec::new();
        if self.takes(end) {
            return Ok(items);
        }
        loop {
            items.push(self.binary(0)?);
            if self.takes(end) {
                return Ok(items);
            }
            self.expect(",")?;
        }
    }
}
