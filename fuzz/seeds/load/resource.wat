(component
  (core module $m
    (memory (export "memory") 1)
    (func (export "realloc") (param i32 i32 i32 i32) (result i32) i32.const 8)
    (func (export "f") (param i32) (result i32) unreachable))
  (core module $n (func (export "f")))
  (core instance $j (instantiate $n))
  (core instance $i (instantiate $m))
  (type $r' (resource (rep i32))) (export $r "r" (type $r'))
  (func $f (param "a" (own $r)) (result (option f64)) (canon lift (core func $i "f")
    (memory (core memory $i "memory")) (realloc (core func $i "realloc"))))
  (export "f" (func $f))
  (func $g (canon lift (core func $j "f")))
  (export "g" (func $g)))
