! Compiled and run by test/sh_preload.sh, without and with libronde-mpi.so: every covered call from
! Fortran, by the module mpi or by mpif.h. Writes a line with checksums of the results to PATH.RANK.
program preload_calls
#ifndef MPIF_H
   use mpi
#endif
   implicit none
#ifdef MPIF_H
   include 'mpif.h'
#endif
   integer, parameter :: n = 3000
   integer :: ranks, me, error, each, i
   integer :: counts(0:63), places(0:63)
   integer :: whole(n), whole_out(2*n)
   double precision :: real(n), real_out(2*n)
   character(len=1024) :: path
   character(len=8) :: number

   call MPI_Init(error)
   call MPI_Comm_rank(MPI_COMM_WORLD, me, error)
   call MPI_Comm_size(MPI_COMM_WORLD, ranks, error)
   call get_command_argument(1, path)
   write (number, '(i0)') me
   open (10, file=trim(path)//'.'//trim(number))
   each = n/ranks
   counts = 0
   places = 0
   do i = 0, ranks - 1
      counts(i) = each - i
      places(i) = (ranks - 1 - i)*each
   end do

   call refill
   call MPI_Allreduce(whole, whole_out, n, MPI_INTEGER, MPI_MAX, MPI_COMM_WORLD, error)
   call note('allreduce')
#ifndef NO_IN_PLACE
   call refill
   call MPI_Allreduce(MPI_IN_PLACE, real_out, n, MPI_DOUBLE_PRECISION, MPI_SUM, MPI_COMM_WORLD, error)
   call note('allreduce in place')
   call refill
   if (me == 1) then
      call MPI_Reduce(MPI_IN_PLACE, real_out, n, MPI_DOUBLE_PRECISION, MPI_PROD, 1, &
                      MPI_COMM_WORLD, error)
   else
      call MPI_Reduce(real_out, real, n, MPI_DOUBLE_PRECISION, MPI_PROD, 1, MPI_COMM_WORLD, error)
   end if
   call note('reduce in place')
   call refill
   call MPI_Allgather(MPI_IN_PLACE, 0, MPI_DATATYPE_NULL, real_out, each, MPI_DOUBLE_PRECISION, &
                      MPI_COMM_WORLD, error)
   call note('allgather in place')
#endif
   call refill
   call MPI_Reduce(real, real_out, n, MPI_DOUBLE_PRECISION, MPI_PROD, 1, MPI_COMM_WORLD, error)
   call note('reduce')
   call refill
   call MPI_Reduce_scatter(whole, whole_out, counts, MPI_INTEGER, MPI_BAND, MPI_COMM_WORLD, error)
   call MPI_Reduce_scatter_block(real, real_out, each, MPI_DOUBLE_PRECISION, MPI_MIN, &
                                 MPI_COMM_WORLD, error)
   call note('reduce_scatter')
   call refill
   call MPI_Bcast(real_out, n, MPI_DOUBLE_PRECISION, ranks - 1, MPI_COMM_WORLD, error)
   call note('bcast')
   call refill
   call MPI_Allgather(real, each, MPI_DOUBLE_PRECISION, real_out, each, MPI_DOUBLE_PRECISION, &
                      MPI_COMM_WORLD, error)
   call MPI_Allgatherv(whole, counts(me), MPI_INTEGER, whole_out, counts, places, MPI_INTEGER, &
                       MPI_COMM_WORLD, error)
   call note('allgather')
   call refill
   call MPI_Alltoall(real, each, MPI_DOUBLE_PRECISION, real_out, each, MPI_DOUBLE_PRECISION, &
                     MPI_COMM_WORLD, error)
   counts = each/2
   call MPI_Alltoallv(whole, counts, places, MPI_INTEGER, whole_out, counts, places, MPI_INTEGER, &
                      MPI_COMM_WORLD, error)
   call note('alltoall')
   call MPI_Barrier(MPI_COMM_WORLD, error)
   close (10)
   call MPI_Finalize(error)

contains

   ! Whole numbers, exact in any order.
   subroutine refill
      integer :: k
      do k = 1, n
         whole(k) = mod(k*7919 + me*104729, 99991)
         real(k) = mod(k*31 + me*17, 13) - 6
      end do
      whole_out = -1
      real_out = -1
      whole_out(1:n) = whole
      real_out(1:n) = real
   end subroutine refill

   subroutine note(what)
      character(len=*), intent(in) :: what
      integer :: k
      integer, parameter :: wide = selected_int_kind(18)
      integer(kind=wide) :: sum
      sum = error
      do k = 1, 2*n
         sum = mod(sum*31 + whole_out(k) + 1000000_wide, 1000000007_wide)
         sum = mod(sum*31 + int(real_out(k), wide) + 1000000_wide, 1000000007_wide)
      end do
      write (10, '(a,1x,i0)') what, sum
   end subroutine note
end program preload_calls
