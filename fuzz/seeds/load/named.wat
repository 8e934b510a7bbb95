(component
  (core module $m
    (memory (export "memory") 1)
    (func (export "realloc") (param i32 i32 i32 i32) (result i32) i32.const 8)
    (func (export "f") (param i32 i32 i32 i32 i32 i32 i32 i32 i32) (result i32) unreachable))
  (core instance $i (instantiate $m))
  (type $r' (record (field "a-b" string) (field "c" (option (option u8))))) (export $r "r" (type $r'))
  (type $v' (variant (case "one" $r) (case "none"))) (export $v "v" (type $v'))
  (type $e' (enum "low" "high")) (export $e "e" (type $e'))
  (type $g' (flags "old" "new")) (export $g "g" (type $g'))
  (func $f (param "v" $v) (param "e" $e) (param "g" $g) (result $r) (canon lift (core func $i "f")
    (memory (core memory $i "memory")) (realloc (core func $i "realloc"))))
  (export "f" (func $f)))
