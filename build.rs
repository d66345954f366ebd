//! The admin page and its libraries are built in: what `npm ci` brought since is to be taken in by the next build.

fn main() {
    println!("cargo::rerun-if-changed=src/dashboard");
}
