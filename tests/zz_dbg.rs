use thalweg::graph::eval::evaluate;
use thalweg::model::data::DataFile;
use thalweg::model::posterior::Model;
#[test]
fn dbg() {
    let src = std::fs::read_to_string(std::env::var("DBG_MODEL").unwrap()).unwrap();
    let data = match std::env::var("DBG_DATA") { Ok(p) => DataFile::load(std::path::Path::new(&p)).unwrap(), Err(_) => DataFile::default() };
    let post = match Model::from_text("m", &src).and_then(|m| m.bind(&data)) { Ok(p) => p, Err(e) => { println!("{e}"); return } };
    println!("{}", post.graph);
    let xs: Vec<Vec<f64>> = post.sites.iter().map(|s| (0..s.free).map(|i| 0.1 + 0.01 * i as f64).collect()).collect();
    let refs: Vec<&[f64]> = xs.iter().map(|v| &v[..]).collect();
    println!("lp = {:?}", evaluate(&post.graph, &refs, &[post.lp, post.lp_nojac]));
}
