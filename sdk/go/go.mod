module skillhost

go 1.25
