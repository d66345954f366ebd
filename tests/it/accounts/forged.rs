//! No forged, foreign, stale or mistyped token passes, on any route that asks for one (P17).

use aws_lc_rs::hkdf;
use aws_lc_rs::signature::Ed25519KeyPair;
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{Account, Answer, Config, Proof, TestServer};

fn base64(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

fn parts(token: &str) -> [&str; 3] {
    token.split('.').collect::<Vec<_>>().try_into().expect("three parts")
}

fn decoded(part: &str) -> Value {
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).expect("base64")).expect("JSON")
}

/// The service's own signing key, as anybody who has its secret could make it.
fn own_pair() -> Ed25519KeyPair {
    let salt = hkdf::Salt::new(hkdf::HKDF_SHA256, b"ar-supervisor");
    let mut seed = [0; 32];
    let key = salt.extract(crate::support::SECRET.as_bytes());
    key.expand(&[b"access token"], hkdf::HKDF_SHA256).and_then(|output| output.fill(&mut seed)).expect("32 bytes");
    Ed25519KeyPair::from_seed_unchecked(&seed).expect("32 bytes")
}

fn encoding(pair: &Ed25519KeyPair) -> EncodingKey {
    EncodingKey::from_ed_der(pair.to_pkcs8().expect("a key").as_ref())
}

/// Any header and claims, well signed by the service's own key.
fn signed_text(header: &str, claims: &str) -> String {
    let text = format!("{}.{}", base64(header), base64(claims));
    let signature = own_pair().sign(text.as_bytes());
    format!("{text}.{}", base64(signature.as_ref()))
}

/// A well-signed token with altered claims.
fn signed(token: &str, key: &EncodingKey, change: impl FnOnce(&mut Value)) -> String {
    let [header, claims, _] = parts(token);
    let mut claims = decoded(claims);
    change(&mut claims);
    let header: Header = serde_json::from_value(decoded(header)).expect("a header");
    jsonwebtoken::encode(&header, &claims, key).expect("signs")
}

/// A token whose time was over 100 s ago, otherwise as good as this one.
pub(super) fn expired(good: &str) -> String {
    signed(good, &encoding(&own_pair()), |claims| {
        for (name, before) in [("iat", 2000), ("nbf", 2000), ("exp", 1000)] {
            claims[name] = json!(claims[name].as_i64().expect("a time") - before);
        }
    })
}

/// Forged, foreign, stale and mistyped forms of a good token, by what is wrong with them.
#[expect(clippy::too_many_lines, reason = "a list, to be read as one")]
fn forms(good: &str, foreign: &str, refresh_token: &str) -> Vec<(&'static str, String)> {
    let [header, claims, signature] = parts(good);
    let key = encoding(&own_pair());
    let now = decoded(claims)["iat"].as_i64().expect("a time");
    let text = |part: &str| String::from_utf8(URL_SAFE_NO_PAD.decode(part).expect("base64")).expect("text");
    let (header_text, claims_text) = (text(header), text(claims));
    let kid = decoded(header)["kid"].clone();
    // Our own header but for one member, so that nothing else is to blame.
    let header_with = |name: &str, value: Value| {
        let old = decoded(header)[name].clone();
        let altered = if old.is_null() {
            header_text.replacen('}', &format!(",\"{name}\":{value}}}"), 1)
        } else {
            header_text.replacen(&format!("\"{name}\":{old}"), &format!("\"{name}\":{value}"), 1)
        };
        assert_ne!(altered, header_text, "{name}");
        signed_text(&altered, &claims_text)
    };
    let hmac = |algorithm, secret: &[u8]| {
        let mut header = Header::new(algorithm);
        header.kid = kid.as_str().map(str::to_owned);
        header.typ = Some("at+jwt".to_owned());
        jsonwebtoken::encode(&header, &decoded(claims), &EncodingKey::from_secret(secret)).expect("signs")
    };
    let public = URL_SAFE_NO_PAD.decode(kid.as_str().expect("text")).expect("base64");
    let claim = |name: &str, value: Value| signed(good, &key, |claims| claims[name] = value.clone());
    let without = |name: &str| {
        signed(good, &key, |claims| {
            claims.as_object_mut().expect("an object").remove(name);
        })
    };
    let unsigned = |alg: &str| format!("{}.{claims}.", base64(json!({"alg": alg, "typ": "at+jwt", "kid": kid}).to_string()));
    let mut flipped = URL_SAFE_NO_PAD.decode(signature).expect("base64");
    flipped[0] ^= 1;
    let mut malleable = URL_SAFE_NO_PAD.decode(signature).expect("base64");
    malleable[63] |= 0x80;
    vec![
        ("nothing", String::new()),
        ("a word", "token".to_owned()),
        ("one part", claims.to_owned()),
        ("two parts", format!("{header}.{claims}")),
        ("four parts", format!("{good}.{signature}")),
        ("five parts, as an encrypted one", format!("{header}..{claims}.{signature}.x")),
        ("no signature", format!("{header}.{claims}.")),
        ("no claims", format!("{header}..{signature}")),
        ("no header", format!(".{claims}.{signature}")),
        ("dots", "..".to_owned()),
        ("alg none", unsigned("none")),
        ("alg None", unsigned("None")),
        ("alg NONE", unsigned("NONE")),
        ("alg nOnE with a signature", format!("{}.{claims}.{signature}", base64(json!({"alg": "nOnE", "typ": "at+jwt"}).to_string()))),
        ("HS256 with the published key", hmac(Algorithm::HS256, &public)),
        ("HS384 with the published key", hmac(Algorithm::HS384, &public)),
        ("HS256 with the secret itself", hmac(Algorithm::HS256, crate::support::SECRET.as_bytes())),
        ("HS512 with the secret itself", hmac(Algorithm::HS512, crate::support::SECRET.as_bytes())),
        ("HS256 with an empty secret", hmac(Algorithm::HS256, b"")),
        ("alg RS256", header_with("alg", json!("RS256"))),
        ("alg ES256", header_with("alg", json!("ES256"))),
        ("alg HS256 over our signature", header_with("alg", json!("HS256"))),
        ("alg as a number", header_with("alg", json!(1))),
        ("alg in lower case", header_with("alg", json!("eddsa"))),
        ("typ JWT", header_with("typ", json!("JWT"))),
        ("typ of another kind", header_with("typ", json!("rt+jwt"))),
        ("no typ", signed_text(&json!({"alg": "EdDSA", "kid": kid}).to_string(), &claims_text)),
        ("no kid", signed_text(r#"{"typ":"at+jwt","alg":"EdDSA"}"#, &claims_text)),
        ("a kid nobody has", header_with("kid", json!("nobodys"))),
        ("an empty kid", header_with("kid", json!(""))),
        ("a kid as a path", header_with("kid", json!("../../dev/null"))),
        ("a kid as SQL", header_with("kid", json!("x' OR '1'='1"))),
        ("a kid as an array", header_with("kid", json!([kid]))),
        ("jku", header_with("jku", json!("https://evil.example.com/jwks.json"))),
        ("jwk", header_with("jwk", json!({"kty": "OKP", "crv": "Ed25519", "x": base64([1; 32])}))),
        ("x5u", header_with("x5u", json!("https://evil.example.com/cert.pem"))),
        ("x5c", header_with("x5c", json!(["AAAA"]))),
        ("an unknown crit", header_with("crit", json!(["exp"]))),
        ("b64 false", header_with("b64", json!(false))),
        ("a header with blanks in it", signed_text(&header_text.replacen(',', ", ", 1), &claims_text)),
        ("another's key", signed(good, &encoding(&Ed25519KeyPair::from_seed_unchecked(&[7; 32]).expect("32 bytes")), |_| ())),
        ("a token of another service", foreign.to_owned()),
        ("a flipped signature", format!("{header}.{claims}.{}", base64(&flipped))),
        ("a malleable signature", format!("{header}.{claims}.{}", base64(&malleable))),
        ("a signature of zeros", format!("{header}.{claims}.{}", base64([0; 64]))),
        ("a short signature", format!("{header}.{claims}.{}", base64([1; 32]))),
        ("a long signature", format!("{header}.{claims}.{signature}AAAA")),
        ("a padded signature", format!("{good}==")),
        ("standard base64", format!("{header}.{claims}.{}", STANDARD.encode(&flipped))),
        ("altered claims under the old signature", {
            let mut claims = decoded(claims);
            claims["role"] = json!("admin");
            format!("{header}.{}.{signature}", base64(claims.to_string()))
        }),
        ("expired", expired(good)),
        ("not yet", claim("nbf", json!(now + 3600))),
        ("made in the future", claim("iat", json!(now + 3600))),
        ("another audience", claim("aud", json!("another"))),
        ("an array of audiences", claim("aud", json!(["ar-supervisor", "another"]))),
        ("another issuer", claim("iss", json!("another"))),
        ("no exp", without("exp")),
        ("no nbf", without("nbf")),
        ("no iat", without("iat")),
        ("no aud", without("aud")),
        ("no iss", without("iss")),
        ("no sub", without("sub")),
        ("no sid", without("sid")),
        ("no jti", without("jti")),
        ("no role", without("role")),
        ("an exp as text", claim("exp", json!("9999999999"))),
        ("an exp beyond all numbers", claim("exp", json!(1e300))),
        ("an unknown role", claim("role", json!("king"))),
        ("an unknown claim", claim("scope", json!("everything"))),
        ("a sub that is nobody", claim("sub", json!("00000000-0000-7000-8000-000000000000"))),
        ("a sub as SQL", claim("sub", json!("' OR 1=1 --"))),
        ("a sid that never was", claim("sid", json!("00000000-0000-7000-8000-000000000000"))),
        ("claims as an array", signed_text(&header_text, "[]")),
        ("claims that are no JSON", signed_text(&header_text, "{")),
        ("claims that are nothing", signed_text(&header_text, "")),
        ("a claim twice", signed_text(&header_text, &claims_text.replacen('{', "{\"role\":\"user\",", 1))),
        ("a refresh token", refresh_token.to_owned()),
        ("an edge's key", "ek_01890000-0000-7000-8000-000000000000_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA".to_owned()),
        ("the token in capitals", good.to_uppercase()),
        ("the token twice", format!("{good}{good}")),
        ("the token with a blank in it", good.replacen('.', ". ", 1)),
        ("the token in quotes", format!("\"{good}\"")),
        ("more than 4 KiB", format!("{good}{}", "A".repeat(5000))),
    ]
}

/// Every route that asks for a token, with its method.
async fn protected(t: &TestServer) -> Vec<(Method, String)> {
    let document = t.get("/openapi.json").await.ok().json();
    let mut routes = Vec::new();
    for (path, item) in document["paths"].as_object().expect("paths") {
        for (method, operation) in item.as_object().expect("operations") {
            if operation["security"] != json!([{}]) {
                let path = path.replace("{id}", "01890000-0000-7000-8000-000000000000").replace("{code}", "DE");
                routes.push((method.to_uppercase().parse().expect("a method"), path));
            }
        }
    }
    assert!(routes.len() >= 20, "{routes:?}");
    routes
}

#[tokio::test]
async fn no_wrong_token_opens_any_route() {
    let t = TestServer::start().await;
    let elsewhere = TestServer::start_with(Config::of("JWT_SECRET", "another0secret9of8more7than6thirty5two4bytes")).await;
    let (admin, foreign) = (t.admin().await, elsewhere.admin().await);
    // What the forms are made with is what the service makes its own with.
    let [header, claims, _] = parts(&admin.access_token);
    let text = |part: &str| String::from_utf8(URL_SAFE_NO_PAD.decode(part).expect("base64")).expect("text");
    for good in [signed(&admin.access_token, &encoding(&own_pair()), |_| ()), signed_text(&text(header), &text(claims))] {
        Account { access_token: good, ..admin.clone() }.get(&t, "/api/v1/users").await.ok();
    }

    let forms = forms(&admin.access_token, &foreign.access_token, &admin.refresh_token);
    let routes = protected(&t).await;
    let mut tries = 0;
    let mut proof = Proof::of("P17", "wrong tokens on every route that asks for one");
    for (method, path) in &routes {
        for (what, token) in &forms {
            let request = t.request(method.clone(), path).header("authorization", format!("Bearer {token}"));
            let answer = Answer::of(request).await;
            assert_eq!(answer.status, 401, "{method} {path} with {what}: {}", answer.text());
            assert!(answer.header("www-authenticate").is_some_and(|challenge| challenge.starts_with("Bearer")), "{what}");
            tries += 1;
        }
    }
    proof.tried(tries);
    proof.measured(format!("{} forms on {} routes", forms.len(), routes.len()));
    println!("{} forms on {} routes: {tries} tries, 0 passed", forms.len(), routes.len());
    assert!(forms.len() >= 60);
    admin.get(&t, "/api/v1/users").await.ok();
}

#[tokio::test]
async fn a_credential_of_another_kind_or_in_another_place_is_none() {
    let t = TestServer::start().await;
    let admin = t.admin().await;
    let token = &admin.access_token;
    let basic = format!("Basic {}", STANDARD.encode(format!("{}:{}", admin.email, crate::support::PASSWORD)));
    let lists = [format!("Bearer {token}, Bearer {token}"), format!("Token {token}"), token.clone(), "Bearer".to_owned(), basic];
    for value in lists {
        let answer = Answer::of(t.request(Method::GET, "/api/v1/users").header("authorization", &value)).await;
        assert_eq!(answer.status, 401, "{value}");
    }
    let twice =
        t.request(Method::GET, "/api/v1/users").header("authorization", format!("Bearer {token}")).header("authorization", "Bearer x");
    assert_eq!(Answer::of(twice).await.status, 401, "two credentials are none");
    let cookie = t.request(Method::GET, "/api/v1/users").header("cookie", format!("access_token={token}; token={token}"));
    assert_eq!(Answer::of(cookie).await.status, 401);
    // In a query string, whoever asks: it would be in every log on the way.
    for name in ["access_token", "token", "api_key"] {
        assert_eq!(t.get(&format!("/api/v1/regions?{name}={token}")).await.faulty_fields(400), [name]);
        assert_eq!(admin.get(&t, &format!("/api/v1/users?{name}={token}")).await.faulty_fields(400), [name]);
    }
    // The scheme's name has no case.
    let lower = t.request(Method::GET, "/api/v1/users").header("authorization", format!("bearer {token}"));
    assert_eq!(Answer::of(lower).await.status, 200);
}
