$ qkscope version -q
> qkscope         <*>
> BLAS            OpenBLAS <*>
> ...
> LAPACK <*>
> ...
> HDF5            1.<*>
> ...
> cJSON           <*>cjson<*>
> ...
> CPU features    <*>
> threads         <*>

$ qkscope version --json | grep hdf5
>   "hdf5": "1.<*>",
>   "hdf5_library": "<*>hdf5<*>",
! ...
