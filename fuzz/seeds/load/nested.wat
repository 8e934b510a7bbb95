(component
  (core module $m
    (memory (export "memory") 1)
    (func (export "realloc") (param i32 i32 i32 i32) (result i32) i32.const 8)
    (func (export "f") (param i32 i32) (result i32) unreachable))
  (core instance $i (instantiate $m))
  (type $a (tuple u8 (list (option string)))) (type $b (tuple $a $a)) (type $c (list (tuple $b $b)))
  (func $f (param "a" $c) (result (result (error $b))) (canon lift (core func $i "f")
    (memory (core memory $i "memory")) (realloc (core func $i "realloc"))))
  (export "f" (func $f)))
