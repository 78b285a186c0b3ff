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
    let xs = match std::env::var("DBG_X") { Ok(p) => { let v: serde_json::Value = serde_json::from_str(&std::fs::read_to_string(p).unwrap()).unwrap(); let x: Vec<f64> = v["points"][0]["x"].as_array().unwrap().iter().map(|a| a.as_f64().unwrap()).collect(); let mut r = &x[..]; post.sites.iter().map(|s| { let (a,b) = r.split_at(s.free); r = b; a.to_vec() }).collect() } Err(_) => xs };
    let refs: Vec<&[f64]> = xs.iter().map(|v| &v[..]).collect();
    for i in 0..post.graph.nodes().len() { let v = post.graph.inputs()[0].var; let _ = v; }
    for (k, w) in evaluate(&post.graph, &refs, &post.graph.inputs().iter().map(|i| i.var).collect::<Vec<_>>()).iter().enumerate() { println!("in {k} {} {:?}", post.graph.inputs()[k].name, w); }
    let refs: Vec<&[f64]> = xs.iter().map(|v| &v[..]).collect();
    println!("lp = {:?}", evaluate(&post.graph, &refs, &[post.lp, post.lp_nojac]));
}
